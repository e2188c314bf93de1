# 命令行文本（中文）。键与 en.ftl 相同。

unreachable = { $address } 上没有控制面应答
unreachable-hint = `meltemi serve` 在运行吗？用 `--server` 指定其他地址

proxy-restored = 仍在读取各来源：代理收到的是 { $time } 的状态
proxy-summary = 共 { $total } 个代理：{ $synced } 个已同步，{ $stale } 个未同步，{ $refused } 个拒绝了配置

check-unreadable-hint = 请检查路径；没有进行任何检查
check-summary = { $errors } 个错误，{ $warnings } 个警告，{ $notices } 条提示；共 { $objects } 个对象，为 { $classes } 类代理做了编译
check-next = 下一步：meltemi help { $code }

input-unreadable = 无法读取 `{ $path }`：{ $reason }
input-unreadable-hint = 请检查路径；没有发送任何内容

scope-export-none = 那里没有任何栅栏
scope-export-limited-too = 按标签 { $workload } 拥有全部内容，但 Sidecar { $by } 会限制它：请给它单独的 Sidecar
scope-export-overlapping = { $namespace } 中的 Sidecar { $by } 选中同一个工作负载，而 Istio 只采用其中一个：请把它们的 hosts 合并到一个，并去掉其余的
scope-export-left-out = 略去 { $workload }：它只由标签设置栅栏，而没有能让 Sidecar 只选中它的标签

events-none = 控制面启动以来没有任何变更
events-summary = 最近 { $total } 次变更：{ $live } 次已在所有相关代理中生效，{ $open } 次尚未生效
events-more = 另有 { $count } 个

wait-progress = { $total } 个代理中有 { $live } 个已生效
wait-live = 已生效：{ $total } 个代理中有 { $live } 个确认了版本 { $revision }（{ $seconds } 秒）
wait-timed-out = { $seconds } 秒后超时：{ $total } 个代理中有 { $live } 个确认了版本 { $revision }
wait-refused = 被拒绝：有代理不接受版本 { $revision }（{ $total } 个中有 { $live } 个已确认）
wait-lost = 有代理断开：{ $total } 个代理中有 { $live } 个确认了版本 { $revision }
wait-cut = 控制面在给出结果之前结束了
wait-interrupted = 已中断；控制面仍在继续：meltemi wait

diff-summary = { $objects } 个对象中有 { $changed } 个会改变（与版本 { $revision } 相比）
diff-effect = 对 Envoy 的影响：{ $connected } 个代理中的 { $affected } 个
diff-more = 另有 { $count } 个资源

bootstrap-workload = `{ $workload }` 不是 NAME.NAMESPACE 的形式，例如 `cart-1.shop`
bootstrap-unreadable-hint = 请检查路径；没有输出任何内容

serve-unreadable-hint = 请检查 `--config` 和 `--mesh-config`；服务没有启动
serve-settings-unknown = 第 { $line } 行：那里没有名为 `{ $field }` 的设置；可用的有 { $known }
serve-settings-mistyped = 第 { $line } 行：那里没有名为 `{ $field }` 的设置；是否指 `{ $meant }`？
serve-settings-hint = 文件中写驼峰形式的参数名，例如 `xdsAddress: 127.0.0.1:15010`
serve-no-config = 没有可服务的内容：没有指定目录
serve-no-config-hint = 请用 `--config`、`MELTEMI_CONFIG` 或 `--settings` 文件中的 `config` 指定目录
serve-half-tokens = 使用令牌需要同时设置 `jwks` 与 `token-issuer`，或都不设置
serve-tokens-alone = 令牌用于证明身份，但没有证书颁发机构：请设置 `identity-directory` 或 `cacerts`
serve-half-tls = 证书和私钥必须成对出现：请同时设置 `tls-certificate` 与 `tls-key`，或都不设置

identity-wrote = 已写入 { $path }
identity-issued = { $identity }，有效期至 { $until }
identity-unreadable = `{ $identity }` 不是 NAMESPACE/SERVICE-ACCOUNT 的形式，例如 `shop/cart`
identity-steady = 没有正在进行的轮换。
identity-trusting = 两个根证书都受信任，由旧根签发。{ $until } 之后可执行：meltemi identity rotate next
identity-trusting-ready = 两个根证书都受信任，由旧根签发。下一步：meltemi identity rotate next（改由新根签发）
identity-issuing = 两个根证书都受信任，由新根签发。{ $until } 之后可执行：meltemi identity rotate next
identity-issuing-ready = 两个根证书都受信任，由新根签发。下一步：meltemi identity rotate next（移除旧根；其他集群须先换上新的中间证书）
identity-reverting = 轮换正在撤销：由旧根签发，新根仍受信任。{ $until } 之后可执行：meltemi identity rotate next
identity-reverting-ready = 轮换正在撤销：由旧根签发。下一步：meltemi identity rotate next（移除新根）
identity-behind = { $total } 个已连接的代理中有 { $count } 个尚未确认这一步所需的内容：{ $names }
identity-behind-hint = 请等待它们（`meltemi ps`），或用 `--force` 并说明原因：与它们之间的调用可能失败
identity-unasked-hint = 用 --server 指明控制面，以便询问其代理；或用 `--force` 并说明原因

help-mistake = 错误写法：
help-repaired = 正确写法：
help-unknown = 没有名为 `{ $topic }` 的命令或代码
help-unknown-hint = 命令：{ $known }；`meltemi help codes` 列出全部代码

proxy-unknown = 没有名为 `{ $proxy }` 的已连接代理
proxy-unknown-hint = `meltemi proxy status --all` 列出全部代理
proxy-hidden = 另有 { $count } 个已同步的代理未列出；`--all` 列出全部
proxy-config-summary = { $proxy }：{ $total } 个资源中 { $acknowledged } 个已确认，{ $waiting } 个等待，{ $refused } 个被拒绝

heading-examples = 示例：
heading-commands = 命令
heading-arguments = 参数
heading-options = 选项
heading-template = {"{about-with-newline}"}\n用法：{"{usage}"}\n\n{"{all-args}{after-help}"}
heading-help = 显示帮助
heading-version = 显示版本

access-allow-note = 注意：此后，凡是没有 ALLOW 策略允许的，在那里都会被拒绝。

scope-none = 还不知道任何工作负载调用谁
scope-unknown = 不知道 { $workload } 调用谁
scope-unknown-namespace = 没有人知道命名空间 `{ $name }`
scope-unknown-workload = 没有人知道工作负载 `{ $name }`
scope-means = 对 { $workload } 来说，`{ $written }` 就是 `{ $host }`
scope-in-memory = 学习到的依赖只在内存中：使用 `serve --scope-directory` 可在进程结束后保留
scope-silent = 传感器 { $sensor } 自 { $at } 起没有工作：在恢复之前，它所知道的都不会被遗忘
scope-prometheus = { $url } 的 Prometheus 没有说明谁调用谁：{ $problem }
scope-saved = 有栅栏的代理持有 { $all } 中的 { $held }
scope-capped-everything = { $workload } 调用了 { $asked } 个主机，因此收到全部内容：栅栏不适合它。用标签 `meltemi.io/scope: full` 把它排除，或查明谁在扫描
scope-capped-unknown = { $workload } 在端口 { $ports } 上调用了太多没有定义的主机，因此在那里不再询问：尚未调用过的按 `outboundTrafficPolicy` 处理。请声明所需的主机，或查明谁在扫描；其所有代理断开半分钟后，或控制平面重启后，会重新询问
scope-plan = { $proxies } 个代理现在持有 { $now }，之后会持有 { $then }：减少 { $cut }
scope-plan-left-out = 另有 { $count } 类代理因耗时过长而略去。请只询问一个工作负载
scope-plan-offline = 没有控制面：{ $listed } 个代理来自 Pod 和 WorkloadEntry，{ $named } 个来自只被提到的工作负载，都视为能够询问的 Envoy。
scope-plan-errors = 文件中有 { $count } 个错误：`meltemi check` 会显示这里略去了什么
scope-plan-nobody = 文件没有提到 { $target } 的任何工作负载
scope-plan-nobody-hint = 计划针对 Pod、WorkloadEntry、WorkloadGroup，以及 Service、栅栏和 `--import` 的调用所提到的工作负载
scope-plan-no-directory = 没有指定目录：用 `--directory` 指定，或在 `--settings` 的文件中用 `config` 指定
scope-plan-gateway = { $workload } 是网关：只有其路由所提到的内容，不受栅栏限制
scope-plan-grpc = { $workload } 仍会收到全部内容：没有代理的 gRPC 不能询问；模式 declared 和 learned 对它有效
scope-plan-cannot-ask = { $workload } 仍会收到全部内容：它的代理不能询问，因为不使用 delta xDS、缺少过滤器 envoy.filters.http.on_demand，或者早于 Envoy 1.40；模式 declared 和 learned 对它有效
scope-plan-unknown = { $workload }：对它的调用一无所知：每个都会等待一次
scope-plan-waiting = { $workload }：会等待一次的已知调用：{ $hosts }
scope-plan-detoured = { $workload }：会先经过惰性网关的已知调用：{ $hosts }
scope-plan-no-gateway = { $workload }：模式 gateway 无处可去：`lazyload.gateway` 没有指向该工作负载可见的 Service
scope-plan-unknown-detoured = { $workload }：对它的调用一无所知：每个在学到之前都经过惰性网关
scope-plan-unknown-declared = { $workload }：对它的调用一无所知：没有声明的都按 `outboundTrafficPolicy` 处理
scope-plan-unknown-learned = { $workload }：对它的调用一无所知：每个在学到之前都按 `outboundTrafficPolicy` 处理
scope-plan-unknown-passthrough = { $workload }：对它的调用一无所知：每个在学到之前，凡 `outboundTrafficPolicy` 允许的都离开网格
scope-plan-cut = { $workload }：会按 `outboundTrafficPolicy` 处理的已知调用：{ $hosts }
scope-plan-invisible = { $workload }：对它不可见的已知调用（现在和之后都一样）：{ $hosts }
scope-holds = { $workload } 受限（{ $mode }）：{ $proxies } 个代理各持有 { $resources } 个资源，共 { $bytes }
scope-holds-of = { $workload } 受限（{ $mode }）：{ $proxies } 个代理各持有 { $resources } 个资源，共 { $bytes }；没有栅栏时为 { $of } 个，共 { $all }
scope-why-declared = { $by } 声明了它。
scope-why-declared-no-longer = { $by } 刚才还声明它；会再保留一段时间。
scope-why-deadline = 它在 { $by } 中的期限已过：被调用也不会让它回来。
scope-why-stable-host = 每个栅栏都包含它（`lazyload.stableHost`）。
scope-why-root-namespace = 每个栅栏都包含根命名空间 { $by }。
scope-why-learned = 见过该工作负载调用它。
scope-why-pinned = 有人固定了它；没有见过对它的调用。
scope-why-seeded = 它从一开始就在范围内：尚未见过对它的调用。
scope-why-asked = 它的代理连接后询问过它。
scope-why-led-to = { $by } 从范围内的主机通向那里。
scope-why-alias = 它的另一个名字在范围内。
scope-why-mode-without-learning = 见过对它的调用或它被固定，但在模式 { $by } 下只有声明的才算数。
scope-why-waits-for-a-call = 没有声明它，也不知道对它的调用：第一次调用会等待路由。`meltemi scope pin { $workload } { $host }` 可提前带入。
scope-why-not-declared = 没有声明它，而在模式 { $by } 下调用不会把它带进来：按 `outboundTrafficPolicy` 处理。
scope-why-not-learned = 没有声明它，也不知道对它的调用：在模式 { $by } 下调用按 `outboundTrafficPolicy` 处理，学到之后才会带入。`meltemi scope pin { $workload } { $host }` 可提前带入。
scope-why-by-gateway = 没有声明它，也不知道对它的调用：通过惰性网关调用，学到之后直接调用。`meltemi scope pin { $workload } { $host }` 可提前带入。
scope-why-shared-port = 它在工作负载拥有全地址监听器的端口上承载字节流：在那里，先发言的服务器会一直等待调用方。
scope-why-not-public = 它或针对它的规则没有向所有命名空间导出，因此惰性网关没有它。
scope-why-lazy-gateway = 它就是惰性网关，其余的都通过它调用。
scope-why-egress-proxy = { $by } 把没有定义的主机送到那里（`egressProxy`）。
scope-why-dispatch = 分派 { $by } 把未知主机送到那里（`lazyload.dispatches`）。
scope-why-not-defined = 没有 Service、ServiceEntry 或 VirtualService 定义它。
scope-why-not-exported = { $by } 没有导出到它的命名空间（`exportTo`）。
scope-why-sidecar = { $by } 把它排除在外。
scope-why-fence-off = { $by } 的栅栏被关闭：发送全部内容（`meltemi scope enable { $by }`）。
scope-why-not-fenced = 该工作负载没有栅栏：发送它可见的全部内容。
scope-why-everything = 该工作负载调用的主机太多，因此发送全部内容：栅栏不适合它。
scope-why-port-closed = 该工作负载在端口 { $by } 上调用了太多没有定义的主机，因此在那里不再询问：调用按 `outboundTrafficPolicy` 处理。`meltemi scope pin { $workload } { $host }` 可带入。
scope-off = { $target } 的栅栏自 { $since } 起关闭：在执行 `meltemi scope enable { $target }` 之前会收到全部内容
scope-off-until = { $target } 的栅栏从 { $since } 到 { $until } 关闭
scope-widening = { $target } 的栅栏自 { $since } 起关闭，但还有代理没有确认全部内容：`meltemi scope disable { $target }` 会等待
scope-disabled = { $target } 的栅栏已关闭：{ $live } 个代理拥有全部内容
scope-disable-open = { $target } 的栅栏仍然是关闭的：全部内容都会下发；`meltemi scope disable { $target }` 再次等待，`meltemi scope enable { $target }` 撤销
scope-disable-interrupted = 不再等待，但 { $target } 的栅栏是关闭的：`meltemi scope enable { $target }` 撤销
scope-enabled = { $target } 重新以栅栏和标签为准
scope-in = `{ $host }` 在 { $workload } 的范围内
scope-out = `{ $host }` 不在 { $workload } 的范围内
scope-how = 在模式允许时，一次调用就会把它带进来；`meltemi scope pin { $workload } { $host }` 则总是可以。
scope-seen = 来源：{ $sensors }；首次 { $first }，最近 { $last }，共 { $count } 次
scope-state-pinned = 它被固定：直到 `meltemi scope unpin` 为止都会保留。
scope-state-learned = 如果此前没有再次出现，{ $forget } 之后会被遗忘。
scope-state-seeded = 同一应用的另一个工作负载调用它。如果本工作负载不调用，{ $forget } 之后会被遗忘。
scope-state-due = 它很久没有出现：下一次检查时会被遗忘。
scope-kept-sensor-silent = 它很久没有出现，但认识它的一个传感器没有工作：在恢复之前保留。
scope-kept-unwatched = 它很久没有出现，但没有访问日志或指标能说明是否有调用：保留。
scope-kept-just-watched = 它很久没有出现，但访问日志或指标持续的时间还不到最短寿命：保留。
scope-kept-workload-budget = 它很久没有出现，但该工作负载目前能失去的已经用完：保留到下一个时间窗口。
scope-kept-total-budget = 它很久没有出现，但目前总共能遗忘的已经用完：保留到下一个时间窗口。
scope-note-aged = { $at }：很久没有出现，已遗忘
scope-note-reset = { $at }：被人重置
scope-note-refused = { $at }：没有学习（{ $reason }）
scope-pin = 已在 { $workload } 的范围内固定 `{ $host }`
scope-pin-undefined = 目前没有定义 `{ $host }`：一旦有定义就会下发
scope-pin-near = 是不是指 `{ $near }`？若是，请执行 `meltemi scope unpin { $workload } { $host }`
scope-pin-barred = { $by } 中的期限已过：移除该键之前不会下发 `{ $host }`
scope-pin-unknown-workload = 没有人知道工作负载 { $workload }：它的代理连接后才会生效
scope-unpin = `{ $host }` 在 { $workload } 的范围内不再固定：从现在起会老化
scope-reset = 已遗忘 { $workload } 的 { $count } 个依赖
scope-import = 接收了 { $total } 个调用，其中 { $new } 个是新的；略去 { $left } 条
scope-import-undefined = 目前有 { $count } 个主机没有定义，例如 `{ $host }`：一旦有定义就会下发
scope-import-dry-run = 会接收 { $total } 个调用，其中 { $new } 个是新的；略去 { $left } 条
