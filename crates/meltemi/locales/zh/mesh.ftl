# 需要所有对象一起才能发现的问题的代码含义。键与 en/mesh.ftl 相同。

MEL0406 = 网关所在的命名空间中缺少证书 Secret
    .help = 服务器没有证书可用，连接会被拒绝。Secret 从网关 Pod 所在的命名空间读取，而不是 Gateway 对象的命名空间。请在那里创建：`kubectl create -n istio-system secret tls 名称 --cert=… --key=…`。

MEL0407 = Secret 缺少所需的键
    .help = 证书读取自 `tls.crt`（或 `cert`），私钥读取自 `tls.key`（或 `key`），调用方的 CA 读取自 `ca.crt`（或 `cacert`），后者也可以放在名为 `名称-cacert` 的 Secret 中。请补上缺少的键。

MEL0408 = Secret 中的证书或私钥不可用
    .help = 内容不是 PEM、已损坏，或私钥属于另一张证书；服务器会拒绝连接。请比较 `openssl x509 -noout -pubkey -in tls.crt` 与 `openssl pkey -pubout -in tls.key` 的输出，两者必须相同。

MEL0409 = 证书已过期，或尚未生效
    .help = 会校验证书的调用方将拒绝连接。请续期并把新证书写入 Secret，无需重启即可生效。

MEL0410 = 子集没有选中服务的任何实例
    .help = 规则发往该子集的调用会得到 503。请对照 Pod 的标签：子集的所有标签都必须存在。如果 Pod 还未部署，只要没有规则指向该子集就可以保留。

MEL0411 = 同一命名空间中一个主机有多个 DestinationRule，只有一个策略生效
    .help = 同一命名空间、同一主机的 DestinationRule 的子集会合并，但只有最早的流量策略有效。请为该主机只写一个策略。

MEL0412 = 一个子集被两个 DestinationRule 定义
    .help = 最早的 DestinationRule 中的定义有效，另一个不起作用。每个子集只定义一次。

MEL0413 = Gateway 没有选中任何代理
    .help = 没有工作负载具有 `spec.selector` 的全部标签，因此没有人监听这些端口。请对照网关 Pod 的标签；标准安装的标签是 `istio: ingressgateway`。

MEL0414 = 多个 Sidecar 针对相同的工作负载，只有最早的生效
    .help = 一个工作负载只使用一个 Sidecar：先是选中它的，然后是没有选择器的；有多个时以最早的为准。请合并，或让它们选择不同的工作负载。

MEL0415 = Sidecar 引入了不存在的主机
    .help = 这一行没有引入任何服务，对该主机的调用会被当作未知流量。请检查命名空间和主机：主机要写全，例如 `shop/cart.shop.svc.cluster.local`，并且服务必须导出到 Sidecar 所在的命名空间。

MEL0416 = 策略没有选中任何工作负载
    .help = 在有工作负载具备选择器的全部标签之前，策略不起作用；对于保护性的策略，这意味着什么都没有保护。请对照 Pod 的标签。根命名空间中的策略在所有命名空间中选择，其他策略只在自己的命名空间中选择。

MEL0417 = 多个策略针对相同的工作负载，只有最早的生效
    .help = 同一位置有多个 PeerAuthentication 或 Telemetry 时，只有最早的有效。请合并它们，或缩小选择器的范围。

MEL0418 = 策略针对没有代理的工作负载，无法执行
    .help = 策略由工作负载旁边的代理执行，而这些工作负载没有代理：调用未经检查就能到达。请注入代理（给命名空间加上标签 `istio-injection: enabled` 并重启 Pod），或删除该策略，以免给人虚假的安全感。

MEL0419 = 端口没有声明协议，需要对每个连接进行猜测
    .help = 每个连接都要探测是否为 HTTP，既花费时间，在服务器先发数据的协议上也会失败。请把端口命名为 `http-…`、`grpc-…`、`tcp-…`，或设置 `appProtocol`。

MEL0420 = Service 没有选中任何 Pod
    .help = 对该 Service 的调用会得到 503。请把选择器与同一命名空间中 Pod 的标签进行对照。

MEL0421 = Service 指向没有 Pod 具有的命名端口
    .help = 按名称写的 `targetPort` 会在每个 Pod 的容器中查找，但没有容器有这个名字的端口，因此该端口无处可去。请给容器端口取这个名字，或直接使用端口号。

MEL0422 = Pod 提供端口，但没有 Service 选中它
    .help = 没有人能按名称调用该 Pod，它的代理也不知道这些端口。如果只按地址调用则没有问题。

MEL0423 = 命名空间要求注入代理，但 Pod 没有代理
    .help = 命名空间要求注入，但该 Pod 在此之前创建，或由跳过注入的方式创建。它的调用是明文的，也不会执行任何策略。请重启它；如果本来就不需要代理，请加上标签 `sidecar.istio.io/inject: "false"`。

MEL0424 = 两个 ServiceEntry 对同一主机的说法不一致
    .help = 其中一个不会生效，而且不容易看出是哪一个。请为该主机只写一个条目，或用 `exportTo` 让两者的客户端互不可见。

MEL0425 = ServiceEntry 把 Kubernetes Service 当作外部服务
    .help = `location` 的默认值是 MESH_EXTERNAL，这会关闭该主机的双向 TLS。要把 Kubernetes 之外的工作负载加入 Service，请设置 `location: MESH_INTERNAL` 和 `workloadSelector`；否则请换一个主机。

MEL0426 = 两个服务使用相同的地址和端口
    .help = 没有 HTTP 或 TLS 的连接不带名称，只能靠地址和端口区分，因此只有一个服务能使用它们。请给每个服务自己的地址；不写 `addresses` 时会自动分配。

MEL0427 = 没有服务选中 WorkloadEntry
    .help = 该工作负载不会收到调用。请把它的标签与同一命名空间中 ServiceEntry 的 `workloadSelector` 进行对照。

MEL0428 = 要求客户端不使用服务器所要求的加密
    .help = 服务器只接受网格的双向 TLS（STRICT），而 DestinationRule 要求客户端使用别的方式，因此所有调用都会失败。请从规则中删除 `tls`，客户端就会按服务器的要求去做；如果要允许明文，请先把服务器设为 PERMISSIVE。

MEL0429 = 要求客户端对不支持双向 TLS 的服务器使用双向 TLS
    .help = 所有调用都会失败，因为对端没有人终结双向 TLS。请从 DestinationRule 中删除 `tls`，每个连接就会按服务器的能力建立。

MEL0430 = 要求客户端对明文 HTTP 端口使用自己的 TLS
    .help = SIMPLE 和 MUTUAL 用于自己终结 TLS 的服务器。这里的代理会把字节转交给等待明文 HTTP 的应用。请使用 ISTIO_MUTUAL 或不写 `tls`；如果应用确实使用 TLS，请把端口命名为 `https-…`。

MEL0431 = 策略针对工作负载没有提供的端口
    .help = 策略中的端口是工作负载监听的端口，而不是 Service 的端口。目前这一行不会匹配任何流量，请使用容器的端口。

MEL0432 = 策略引用了不存在的命名空间
    .help = 这一行不会匹配任何调用方，请检查名称。

MEL0433 = 策略引用了没有工作负载使用的服务账号
    .help = 这一行不会匹配任何调用方。身份的形式是 `信任域/ns/命名空间/sa/账号`，账号是 Pod 的 `serviceAccountName`，未设置时为 `default`。

MEL0434 = 策略要求令牌，但没有任何策略校验令牌
    .help = 只有 RequestAuthentication 校验过的令牌，其声明和主体才可用。否则 ALLOW 永远不匹配，而排除某主体的 DENY 会拒绝一切。请为相同的工作负载添加带有签发者的 RequestAuthentication。

MEL0435 = 策略引用了不存在的授权提供方
    .help = 没有人可以询问，因此调用会被拒绝。请把该提供方加入网格配置的 `extensionProviders`，或修正名称。

MEL0436 = 策略要求调用方身份，但双向 TLS 已关闭
    .help = 调用方的身份来自证书。双向 TLS 关闭时没有证书，这一行永远不匹配：ALLOW 不允许任何人，DENY 也不拒绝任何人。请对这些工作负载使用 STRICT，或改用地址。

MEL0437 = 策略在不承载 HTTP 的端口上要求 HTTP 属性
    .help = 方法、路径、主机和头只存在于 HTTP。在 TCP 端口上，这样的规则不会允许任何调用，因此一切都被拒绝。请使用端口和身份，或把端口声明为 HTTP。

MEL0438 = 策略不允许任何调用，因此全部拒绝
    .help = `rules: []` 不匹配任何调用；只要存在 ALLOW 策略，没有被允许的都会被拒绝。这是继续添加策略的良好基础。要允许一切，请写 `rules: [{"{"}{"}"}]`。

MEL0439 = 会校验令牌，但没有令牌的调用也会放行
    .help = RequestAuthentication 拒绝错误的令牌，但放行没有令牌的调用。如果必须有令牌，请添加带有 `requestPrincipals: ["*"]` 的 AuthorizationPolicy。

MEL0440 = 遥测提供方不存在
    .help = 不会向它上报任何数据。请把该提供方加入网格配置的 `extensionProviders`，或修正名称；`prometheus`、`stackdriver` 和 `envoy` 始终存在。

MEL0441 = 提供方的服务不存在
    .help = 发往该提供方的数据会丢失，无法询问的授权方会导致拒绝。请检查完整的主机名，或添加 Service 或 ServiceEntry。

MEL0442 = VirtualService 对其引用的网关不可见
    .help = `exportTo` 决定哪些命名空间能看到该规则，而网关的 Pod 运行在另一个命名空间中。请添加该命名空间。

MEL0443 = 目标对路由到它的一方不可见
    .help = 目标存在，但它的 `exportTo`（对 Service 是注解 `networking.istio.io/exportTo`）没有导出到规则及其网关的命名空间，调用会得到 503。请导出给它们。

MEL0444 = 子集所在的 DestinationRule 对路由到它的一方不可见
    .help = 调用方只使用自己命名空间、服务所在命名空间和根命名空间中导出给它们的 DestinationRule，而定义该子集的不在其中，调用会得到 503。请移动或导出它。

MEL0445 = 被委托的 VirtualService 不存在
    .help = 该规则的请求得不到处理。请检查委托的名称和命名空间；不写命名空间时使用规则自己的命名空间。

MEL0446 = 该 VirtualService 不能作为委托对象
    .help = 被委托的对象没有自己的主机，不再委托给别人，也不能是规则自身。目前这些请求得不到处理。

MEL0447 = 没有主机的 VirtualService 未被任何规则委托
    .help = 没有主机的 VirtualService 只有在被其他规则委托时才起作用。请写明主机，或委托给它。

MEL0448 = 网关提供的主机没有对应的 VirtualService
    .help = 对该主机的请求会得到 404。请为它写一个引用该网关的 VirtualService，或去掉该主机。

MEL0449 = VirtualService 的主机不在其网关上
    .help = 该主机不在网关的服务器中（或服务器只接受其他命名空间的规则），规则在那里不起作用。请把它加入 `servers[].hosts`。

MEL0450 = 在网关上，一个 VirtualService 遮盖了另一个的规则
    .help = 网关会合并同一主机的多个 VirtualService。其中两个都匹配所有请求，只有最早的有效。请用 `match` 缩小另一个的范围。

MEL0451 = 对象所在的命名空间不存在
    .help = 该命名空间中没有任何工作负载，对象对谁都不起作用。请检查名称。

MEL0452 = 注解已弃用
    .help = 它仍然起作用。请改用提示中的写法。

MEL0453 = 注解对这类对象不起作用
    .help = 该注解只对另一类对象有效。请移到那里，或删除它。

MEL0454 = 修订标签不起作用：只有一个控制面
    .help = Meltemi 没有并存的多个修订版本，所有对象都生效。请删除该标签，以免有人依赖它。

MEL0455 = 存在多份网格配置，只有一份生效
    .help = 有两个名为 `istio` 的 ConfigMap 包含网格配置，按命名空间排序的第一个生效。请删除另一个。

MEL0456 = 根命名空间不存在，全网格策略无处可放
    .help = 全网格的策略保存在根命名空间中。请创建它，或修正 `rootNamespace`。

MEL0457 = 目标有多个端口，而规则没有指明
    .help = 目标中不写端口时使用调用进来的端口，而该服务没有这个端口，调用会得到 503。请设置 `destination.port.number`。

MEL0458 = 用作证书的 Secret 类型不对
    .help = 该类型表明 Secret 保存的是别的内容。这里仍会读取其中的键，但 Kubernetes 和其他工具不会把它当作证书。请使用 `kubernetes.io/tls` 或 `Opaque`。

MEL0459 = 变更需要顺序，已自动保证
    .help = 该变更同时带来路由和它指向的集群，或同时移除两者。在其他系统中，这类修改到达的先后会决定调用是否短暂失败；这里集群总是在路由引用它之前得到确认，并在最后一条路由之后才移除。无需处理。

MEL0460 = 栅栏没有选中任何工作负载
    .help = 该栅栏不起作用。使用 `fromService` 时，同名同命名空间的 Service 必须选中工作负载；使用 `labels` 时，工作负载必须具备全部标签；没有选择器时，以标签 `app`（或设置 `lazyload.service` 指定的标签）等于栅栏的名字来识别工作负载。

MEL0461 = 栅栏中的主机或命名空间不存在
    .help = 不存在的东西不可能在作用域中。主机请写完整名称；不带点的名称指栅栏自己的命名空间。服务以后出现时，会从那时起进入作用域。

MEL0462 = 栅栏围住的工作负载没有代理
    .help = 栅栏限制的是发给代理的内容，与没有代理的工作负载无关。请注入代理，或删除栅栏。

MEL0463 = 多个栅栏围住相同的工作负载，全部依赖都计入
    .help = 工作负载会收到其中任何一个所声明的内容。导出为 Sidecar（`meltemi scope export`）后只有一个会生效：请合并成一个栅栏，或缩小选择器的范围。

MEL0464 = 与惰性加载有关的标签的值没有意义
    .help = Namespace 或工作负载上的 `meltemi.io/scope` 取一种模式：`full`、`declared`、`learned`、`on-demand`、`gateway` 或 `passthrough`，均为小写。Namespace 或 Service 上的 `slime.io/serviceFenced` 取 `true` 或 `false`。其他的值会被忽略，如同没有这个标签。
