# 命令帮助页的中文。英文是代码里的文档注释；测试保证两者一致。

help = 服务网格控制面：读取 Istio 的 API，通过 xDS 配置原版 Envoy
    .after = 退出码：0 完成，64 用法错误；各命令的退出码见其帮助页
    .lang = 消息的语言；默认取 `MELTEMI_LANG` 或系统区域设置
    .color = 何时使用颜色

help-serve = 从 YAML 目录提供 xDS
    .after =
        参数优先于环境变量，环境变量优先于 --settings 文件，文件优先于默认值。
        退出码：0 收到信号后结束，1 地址无法监听，64 用法错误，65 路径无法读取
    .settings = 设置文件（YAML）：使用驼峰形式的参数名，例如 `xdsAddress`
    .config = 存放 Istio 与 Kubernetes 对象的目录或文件；可以多次指定
    .mesh_config = `MeshConfig` 文件；优先于名为 `istio` 的 ConfigMap
    .xds_address = 代理连接的地址；默认 127.0.0.1:15010
    .admin_address = 提供 `/ready`、`/metrics`、`/debug` 的地址；默认 127.0.0.1:15014
    .tls_certificate = xDS 端口的证书（PEM）；设置后 TLS 与明文共用该端口
    .tls_key = 证书的私钥（PEM）
    .domain = Kubernetes 服务名的后缀；默认 `cluster.local`
    .state_directory = 保存网格状态的目录：新进程据此立即应答，同时读取各来源。其中含有 Secret
    .scope_directory = 保存学习到的依赖的目录；默认是状态目录下的 `scope`。两者都未设置时，依赖随进程结束而消失
    .log = 日志级别，可按模块设置，例如 `info,push=debug`；默认 `info`
    .identity_directory = 内置证书颁发机构保存根证书与私钥的目录；设置它（或 `--cacerts`）后代理可获得身份
    .cacerts = 现有根证书与中间证书的目录，布局同 Istio 的 Secret `cacerts`
    .cluster_id = 本集群的名称，由它的中间证书签发；默认 `Kubernetes`
    .certificate_lifetime = 工作负载证书的有效期；默认 24h
    .xds_server_names = 控制面证书中的其他名称；可以多次指定
    .xds_authentication = 哪些代理必须证明身份：`loopback` 表示本机的代理除外
    .jwks = 代理令牌签发者的公钥文件（JWKS）
    .token_issuer = 令牌的签发者（`iss`）
    .token_audiences = 令牌的受众（`aud`），满足其一即可；默认 `istio-ca`
    .max_streams = 可以打开的代理流数；默认 100000
    .max_streams_per_second = 每秒可以开始的流数；其余的会被告知何时再来。默认不限
    .max_connection_age = 连接的最长时间（上下浮动一成），到期后请代理重新连接；默认不限
    .memory_limit = 进程可用的内存，例如 `2Gi`；默认取其 cgroup 的限额。达到 85 % 起拒绝新的流，达到 95 % 起把一部分流转到别处
    .peers = 另一副本的管理地址（`host:port`），或代表所有副本的名称；可以多次指定。超出应有份额的流会逐步移交
    .weight = 本副本相对于其他副本应承担的流的权重；默认 1

help-scope-export = 把栅栏连同学到的依赖输出为普通的 Sidecar 对象
    .after = 退出码：0 完成，64 用法错误，69 控制面不可达
    .what = 命名空间，或其中的一个工作负载或栅栏；不写则输出全部
    .address = 控制面的管理地址

help-events = 最近的变更：由什么引起，代价多少，哪些代理收到了什么
    .after = 退出码：0 完成，64 用法错误，69 控制面不可达
    .last = 最多显示多少次
    .object = 只看由此对象引起的变更，例如 `VirtualService/shop/cart`
    .output = 输出形式
    .address = 控制面的管理地址

help-check = 不经服务器检查文件：读取、校验、编译，并列出全部问题
    .after = 退出码：0 没有达到 --fail-on 的问题，64 用法错误，65 路径无法读取，79 有问题
    .paths = 存放 Istio 与 Kubernetes 对象的文件和目录
    .mesh_config = `MeshConfig` 文件；优先于名为 `istio` 的 ConfigMap
    .domain = Kubernetes 服务名的后缀
    .fail_on = 问题达到哪个级别时命令以失败结束
    .suppress = 不报告的代码，例如 `MEL0113`
    .output = 输出形式

help-diff = 显示这些文件会带来的变化：对象与 Envoy 配置
    .after = 退出码：0 无差异，1 有差异，2 失败，64 用法错误，65 文件有误，69 控制面不可达
    .files = 存放对象的文件或目录；`-` 表示标准输入
    .recursive = 读取目录及其所有子目录
    .show = 显示多少 Envoy 资源的内容
    .output = 输出形式
    .address = 控制面的管理地址

help-apply = 把对象写入所服务的目录
    .after =
        退出码：0 完成，1 失败或（试运行时）有差异，64 用法错误，65 文件有误，69 控制面不可达，
        77 不允许从这里执行，80 冲突；使用 --wait 时同 `meltemi wait`
    .files = 存放对象的文件或目录；`-` 表示标准输入
    .recursive = 读取目录及其所有子目录
    .wait = 等待所有代理确认
    .timeout = 等待多久，例如 `90s` 或 `2m`
    .delete = 改为把对象从目录中移除
    .dry_run = 只显示文件与 Envoy 会有的变化
    .output = 输出形式
    .address = 控制面的管理地址

help-access = 拒绝或允许调用方，可以只持续一段时间
    .after = 退出码：0 完成，64 用法错误；各命令的页面列出自己的退出码

help-access-deny = 拒绝调用方；优先于所有允许类策略
    .after =
        退出码：0 完成，1 失败或（试运行时）有差异，64 用法错误，69 控制面不可达，77 不允许从这里执行，
        80 冲突；使用 --wait 时同 `meltemi wait`
    .from = 调用方：`namespace/account`、`namespace`、地址段或 `*`
    .to = 被调用方：`namespace/app`、`namespace/label=value,…`、`namespace` 或 `*`
    .port = 工作负载的端口
    .method = 请求的方法
    .path = 请求的路径，例如 `/items/*`
    .ttl = 有效多久，例如 `1h`；不写则一直有效
    .name = 策略的名字；不写则由其余内容拼成
    .root_namespace = 对全网格生效的策略所在的命名空间
    .dry_run = 只显示对象及其带来的变化
    .wait = 等待所有代理确认
    .timeout = 等待多久，例如 `90s` 或 `2m`
    .address = 控制面的管理地址

help-access-allow = 允许调用方；此后这类策略没有允许的一律拒绝
    .after =
        退出码：0 完成，1 失败或（试运行时）有差异，64 用法错误，69 控制面不可达，77 不允许从这里执行，
        80 冲突；使用 --wait 时同 `meltemi wait`
    .from = 调用方：`namespace/account`、`namespace`、地址段或 `*`
    .to = 被调用方：`namespace/app`、`namespace/label=value,…`、`namespace` 或 `*`
    .port = 工作负载的端口
    .method = 请求的方法
    .path = 请求的路径，例如 `/items/*`
    .ttl = 有效多久，例如 `1h`；不写则一直有效
    .name = 策略的名字；不写则由其余内容拼成
    .root_namespace = 对全网格生效的策略所在的命名空间
    .dry_run = 只显示对象及其带来的变化
    .wait = 等待所有代理确认
    .timeout = 等待多久，例如 `90s` 或 `2m`
    .address = 控制面的管理地址

help-access-list = 显示拒绝和允许了什么，以及到什么时候
    .after = 退出码：0 完成，1 失败，64 用法错误，69 控制面不可达
    .all = 所有 AuthorizationPolicy，而不仅是 `meltemi access` 写的
    .output = 输出形式
    .address = 控制面的管理地址

help-access-remove = 收回策略
    .after = 退出码：0 完成，1 失败或不存在，64 用法错误，69 控制面不可达，77 不允许从这里执行
    .names = 名字，见 `access list`
    .namespace = 它们的命名空间
    .address = 控制面的管理地址

help-wait = 等待目录的内容在所有代理上生效
    .after =
        退出码：0 已生效，64 用法错误，65 已生效但有文件出错，69 控制面不可达，
        81 超时，82 有代理拒绝，83 有代理断开，130 被中断
    .timeout = 等待多久，例如 `90s` 或 `2m`
    .quorum = 其他代理断开时，至少百分之多少的代理生效才算成功
    .output = 输出形式
    .address = 控制面的管理地址

help-why = 显示请求经过代理的路径，以及由哪些对象决定
    .after = 退出码：0 已说明，1 没有该代理，64 用法错误，69 控制面不可达
    .proxy = 代理（`name.namespace`）
    .host = 调用方使用的主机（`Host` 或 `:authority`，以及其解析出的地址）
    .port = 调用方连接的端口；入向调用时为工作负载自己的端口
    .dialed = 调用方连接的地址，与主机的地址不同时使用
    .path = 路径，可带查询参数
    .method = HTTP 方法
    .headers = 请求头；可以多次指定
    .tls = 调用方使用 TLS
    .mtls = 调用方使用带网格证书的 TLS
    .sni = 握手中的服务器名；默认为主机
    .http2 = 使用 HTTP/2 而不是 HTTP/1.1
    .tcp = 不是 HTTP 的字节流
    .inbound = 到达该工作负载的调用，而不是它发出的调用
    .output = 输出形式
    .address = 控制面的管理地址

help-bootstrap = 输出工作负载的启动配置：供旁边的 Envoy 或其 gRPC 库使用
    .after = 退出码：0 完成，64 用法错误，65 文件无法读取
    .workload = 名称与命名空间，例如 `cart-7f9c.shop`
    .kind = 代理的种类；`grpc` 表示由应用的 gRPC 库直接读取 xDS
    .config = 存放对象的目录或文件：在其中查找该工作负载的 Pod 或 WorkloadEntry
    .mesh_config = `MeshConfig` 文件；优先于名为 `istio` 的 ConfigMap
    .addresses = 工作负载的地址，第一个为主地址；默认取对象中的地址，否则为 127.0.0.1
    .labels = 工作负载的标签，`key=value`；可以多次指定
    .metadata = 其他节点元数据，`KEY=value`；以 `{"{"}` 或 `[` 开头的值按 JSON 读取
    .service_account = 工作负载的服务账号
    .locality = `region/zone/subzone`
    .network = 工作负载所在的网络（网络之间不能直接互通时使用）
    .node_name = 工作负载所在的机器
    .interception = 流量进入 sidecar 的方式
    .protocol = 代理使用的 xDS 协议
    .xds_address = 控制面的地址，`host:port`
    .xds_ca = 信任控制面所用的 CA 文件（PEM）；设置后使用 TLS
    .xds_server_name = 控制面证书中应有的名称；默认为其主机
    .proof = 由 `meltemi identity issue` 写出的目录：代理用它证明身份并识别控制面；其中更新的内容无需重启即生效
    .certificate = 代理用来证明身份的证书文件（PEM）；只读取一次
    .key = 该证书的私钥文件（PEM）
    .token_file = 代理用来证明身份的令牌文件；令牌本身会被输出
    .admin_port = Envoy 管理页在 127.0.0.1 上的端口；0 表示自动选择
    .stats_port = Prometheus 读取 Envoy 指标的端口（所有地址）；0 表示没有。默认 15090；管理端口为 0 时默认没有
    .all_stats = 让 Envoy 生成其全部自有指标，而不只是网格或 Pod 注解要求的指标（`proxyStatsMatcher`、`sidecar.istio.io/statsInclusionPrefixes`）和少数几个
    .without_wasm = 不加载让 Istio 标准指标使用 Istio 名称的模块：用于编译时不含 V8 的 Envoy，否则它无法启动
    .host_ip = 所在机器的地址，供机器上接收追踪和日志的代理使用（`$(HOST_IP)`）
    .node_agent_ports = 该代理的端口。可多次指定
    .domain = Kubernetes 服务名的后缀
    .cluster_id = 工作负载所在的集群
    .mesh_config_json = 改为输出 `mesh-config.json`：Sidecar 绑定的每个依赖的本地端口
    .output = 输出形式

help-proxy = 查看已连接的代理
    .after = 退出码：0 完成，64 用法错误；各子命令的退出码见其帮助页

help-proxy-status = 哪些代理已全部确认，哪些在等待，哪些拒绝了配置
    .after = 退出码：0 完成，1 没有该代理，64 用法错误，69 控制面不可达
    .proxy = 只看这个代理（`name.namespace` 或节点 ID）
    .namespace = 只看该命名空间的代理
    .state = 只看处于这些状态的代理
    .all = 列出全部代理，即使超过 200 个
    .output = 输出形式
    .address = 控制面的管理地址

help-proxy-config = 发给代理的配置，以及代理已确认的配置
    .after = 退出码：0 完成，1 没有该代理，64 用法错误，69 控制面不可达
    .proxy = 代理（`name.namespace` 或节点 ID）
    .what = 哪类资源
    .name = 只看名称含有该文本的资源
    .fqdn = 只看该主机（或以其开头）的集群与端点
    .port = 只看该端口的集群、端点、监听器与路由
    .subset = 只看该子集的集群与端点
    .direction = 只看该方向的集群
    .output = 输出形式
    .address = 控制面的管理地址

help-identity = 管理网格的证书机构：根证书、证书与令牌
    .after = 退出码：0 完成，64 用法错误；各子命令的退出码见其帮助页

help-identity-init = 为本集群创建根证书与中间证书；已存在则不变
    .after = 退出码：0 完成，64 用法错误，65 目录不可用
    .directory = 证书机构的目录：根证书、中间证书与私钥
    .trust_domain = 信任域，所有身份以它开头
    .cluster = 由其中间证书签发的集群
    .lifetime = 证书最长的有效期，例如 `24h`
    .output = 输出形式

help-identity-intermediate = 用同一个根为另一个集群创建中间证书，文件布局同 Istio 的 `cacerts` Secret
    .after = 退出码：0 完成，64 用法错误，65 文件有误，或根证书的私钥不在此处
    .directory = 证书机构的目录：根证书、中间证书与私钥
    .cluster = 另一个集群
    .out = 写入文件的目录
    .root_key = 根证书的私钥（存放在别处时）

help-identity-issue = 把证书签发到文件，供无法自行申请的代理使用
    .after = 退出码：0 完成，1 未签发，64 用法错误，65 文件有误
    .directory = 证书机构的目录：根证书、中间证书与私钥
    .identity = 签发给谁：NAMESPACE/SERVICE-ACCOUNT，或完整的 `spiffe://` 身份
    .out = 写入 `cert-chain.pem`、`key.pem` 与 `root-cert.pem` 的目录
    .lifetime = 有效期

help-identity-rotate = 分步更换根证书，不中断任何调用
    .after = 退出码：0 完成，64 用法错误；各子命令的退出码见其帮助页

help-identity-rotate-start = 创建第二个根证书，各方开始信任它；在 `next` 之前仍由旧根签发
    .after = 退出码：0 完成，1 轮换已在进行，64 用法错误，65 文件有误
    .directory = 证书机构的目录：根证书、中间证书与私钥
    .output = 输出形式

help-identity-rotate-next = 执行下一步：先由新根签发，再移除旧根；会受影响的证书全部过期之前，或有已连接的代理尚未确认这一步所需的内容时，拒绝执行
    .after = 退出码：0 完成，1 没有轮换，64 用法错误，65 文件有误，69 没有控制面可问，75 为时过早或有代理落后
    .directory = 证书机构的目录：根证书、中间证书与私钥
    .address = 控制面的管理地址
    .force = 不询问并提前执行：调用可能失败
    .reason = 提前执行的原因，与状态一起保存
    .output = 输出形式

help-identity-rotate-status = 显示根证书、中间证书、到期时间与轮换进度
    .after = 退出码：0 完成，64 用法错误，65 文件有误
    .directory = 证书机构的目录：根证书、中间证书与私钥
    .output = 输出形式

help-identity-rotate-abort = 退回旧的根证书；新根已签发的证书在过期之前仍受信任，之后用 `next` 结束
    .after = 退出码：0 完成，1 没有轮换，64 用法错误，65 文件有误
    .directory = 证书机构的目录：根证书、中间证书与私钥
    .output = 输出形式

help-identity-status = 显示根证书、中间证书、到期时间与轮换进度
    .after = 退出码：0 完成，64 用法错误，65 文件有误
    .directory = 证书机构的目录：根证书、中间证书与私钥
    .output = 输出形式

help-identity-token = 为服务账号签发令牌，供测试与演示使用；私钥文件不存在时会创建
    .after = 退出码：0 完成，1 未签发，64 用法错误，65 文件有误
    .key = 签发者的私钥（PEM）：2048 位以上的 RSA，或 ECDSA P-256
    .jwks = 写入公钥（JWKS）的文件
    .issuer = 签发者（`iss`），同服务器的 `--token-issuer`
    .audience = 令牌的受众（`aud`）；可以多次指定
    .identity = 令牌属于谁：NAMESPACE/SERVICE-ACCOUNT
    .lifetime = 有效期

help-scope = 显示工作负载调用谁，并对此做出决定
    .after = 退出码：0 完成，1 失败，64 用法错误，69 控制面不可达
    .workload = 显示它的依赖（`namespace/name`）；不写则列出所有工作负载，需要注意的在前
    .output = 输出形式
    .address = 控制面的管理地址

help-scope-list = 所有工作负载，需要注意的在前，以及谁的栅栏被关闭
    .after = 退出码：0 完成，64 用法错误，69 控制面不可达
    .output = 输出形式
    .address = 控制面的管理地址

help-scope-plan = 根据已知内容显示栅栏会减少什么；不做任何改变
    .after =
        针对已连接的代理计算。已知的调用是学习到的调用：从未见过的与列出的一样，在模式 on-demand 下等待一次，
        在模式 gateway 下经过惰性网关，在其他模式下按 `outboundTrafficPolicy` 处理。
        使用 --directory 或 --settings 时不询问控制面：代理是文件会有的那些，每个 Pod 和 WorkloadEntry 一个，
        每个只被 Service、WorkloadGroup、栅栏或导入的调用提到的工作负载一个。它们都视为能够询问的 Envoy。
        退出码：0 完成，1 没有这样的代理，64 用法错误，65 文件无法读取，69 控制面不可达，75 正在计算另一个计划，79 导入的文件中有内容被略去
    .target = 命名空间，或其中的一个工作负载
    .directory = 针对该目录（或文件）中的对象计算，不需要控制面；可多次指定
    .settings = `serve --settings` 的文件：使用其中的 `lazyload`；没有 --directory 时使用其中的目录
    .mesh_config = 含有 `MeshConfig` 的文件；优先于名为 `istio` 的 ConfigMap
    .domain = Kubernetes 服务名的后缀；默认 `cluster.local`
    .import = 调用图，形式同 `scope import`，视为学习到的内容；可多次指定
    .output = 输出形式
    .address = 控制面的管理地址

help-scope-fences = 显示栅栏及其依赖，形式同 Slime 的 status
    .after = 退出码：0 完成，64 用法错误，69 控制面不可达
    .what = 命名空间，或其中的一个栅栏；不写则显示全部
    .output = 输出形式
    .address = 控制面的管理地址

help-scope-disable = 不论栅栏和标签怎么写，都向工作负载发送全部内容，并等到它们收到为止
    .after =
        先发送全部内容，不会先拿走任何东西。即使不是每个代理都及时确认，它也有效；在保存学习结果的地方，重启之后也有效。
        退出码：0 每个代理都已收到，64 用法错误，69 控制面不可达，77 不允许从这里执行，81 超时，82 有代理拒绝，130 被中断
    .target = 命名空间，或其中的一个工作负载
    .length = 持续多久，例如 `2h`；默认直到 `scope enable`
    .timeout = 等待代理的时间，例如 `90s` 或 `2m`
    .output = 输出形式
    .address = 控制面的管理地址

help-scope-enable = 让栅栏和标签重新生效
    .after = 退出码：0 完成，1 没有被关闭，64 用法错误，69 控制面不可达，77 不允许从这里执行
    .target = 曾被关闭的对象：命名空间，或其中的一个工作负载
    .address = 控制面的管理地址

help-scope-explain = 某个主机为什么在范围内，或为什么不在
    .after = 退出码：0 在范围内，1 不在，64 用法错误，69 控制面不可达
    .workload = `namespace/name`
    .host = 服务的主机名，例如 `pay.bank.svc.cluster.local`
    .output = 输出形式
    .address = 控制面的管理地址

help-scope-pin = 固定一个依赖，直到取消固定；不必先出现过
    .after = 退出码：0 完成，1 失败，64 用法错误，69 控制面不可达，77 不允许从这里执行
    .workload = `namespace/name`
    .host = 服务的主机名，例如 `pay.bank.svc.cluster.local`
    .address = 控制面的管理地址

help-scope-unpin = 让一个依赖重新老化
    .after = 退出码：0 完成，1 没有固定，64 用法错误，69 控制面不可达，77 不允许从这里执行
    .workload = `namespace/name`
    .host = 服务的主机名，例如 `pay.bank.svc.cluster.local`
    .address = 控制面的管理地址

help-scope-reset = 遗忘学习到的内容，固定的除外
    .after = 退出码：0 完成，1 失败，64 用法错误，69 控制面不可达，77 不允许从这里执行
    .workload = `namespace/name`
    .host = 只遗忘这个主机
    .address = 控制面的管理地址

help-scope-import = 导入调用图：CSV 与 JSON，Jaeger、SkyWalking、Kiali
    .after =
        CSV 每行为 workload,host,count，例如 shop/web,pay.bank.svc.cluster.local,12；首行也可以写明其他列，例如
        source,destination,calls；JSON 为
        {"{workload, host, count}"} 的列表，或 Jaeger 的 /api/dependencies、SkyWalking 的拓扑查询、Kiali 的
        /api/namespaces/graph 的应答。格式由内容判断。
        退出码：0 完成，64 用法错误，65 文件不是调用图，69 控制面不可达，77 不允许从这里执行，79 有内容被略去
    .files = 文件或目录；`-` 表示标准输入
    .recursive = 连同子目录一起读取
    .namespace = 没有命名空间的名字所用的命名空间
    .dry_run = 只显示会学习到什么
    .output = 输出形式
    .address = 控制面的管理地址

help-ps = 已连接代理的状态（`proxy status` 的简写）
    .after = 退出码：0 完成，1 没有该代理，64 用法错误，69 控制面不可达
    .proxy = 只看这个代理（`name.namespace` 或节点 ID）
    .namespace = 只看该命名空间的代理
    .state = 只看处于这些状态的代理
    .all = 列出全部代理，即使超过 200 个
    .output = 输出形式
    .address = 控制面的管理地址

help-pc = 单个代理的配置（`proxy config` 的简写）
    .after = 退出码：0 完成，1 没有该代理，64 用法错误，69 控制面不可达
    .proxy = 代理（`name.namespace` 或节点 ID）
    .what = 哪类资源
    .name = 只看名称含有该文本的资源
    .fqdn = 只看该主机（或以其开头）的集群与端点
    .port = 只看该端口的集群、端点、监听器与路由
    .subset = 只看该子集的集群与端点
    .direction = 只看该方向的集群
    .output = 输出形式
    .address = 控制面的管理地址

help-help = 解释命令，或 MEL0104 这样的代码
    .after = 退出码：0 已解释，64 没有该命令或代码
    .topics = 命令、代码，或用 `codes` 列出全部代码
    .output = 输出形式

help-completion = 输出脚本，让 shell 能补全命令和参数
    .after = 退出码：0 完成，64 用法错误
    .shell = 哪种 shell
