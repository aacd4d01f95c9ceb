# Takes out of a transcript what differs between any two runs, whoever the servers are.
s/\x1b\[[0-9;]*m//g
s/\xc2\xa0/ /g
s/\t/ /g
# nats-server escapes in JSON what would be markup in a page.
s/\\u003c/</g
s/\\u003e/>/g
s/\\u0026/\&/g
# Times, before numbers.
s/[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9:]+)?( [+-]?[0-9A-Z]+ UTC)?/TIME/g
s/[0-9]{4}-[0-9]{2}-[0-9]{2}/DATE/g
s/[0-9]{2} [A-Z][a-z]{2} [0-9]{2} [0-9]{2}:[0-9]{2}( UTC)?/TIME/g
s/\b[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?\b/TIME/g
# Durations.
s/\b([0-9]+(\.[0-9]+)?(d|h|m|s|ms|µs|ns))+\b/DURATION/g
s/\b[0-9]+(\.[0-9]+)? (seconds?|milliseconds?|microseconds?)\b/DURATION/g
s/(replies max:).*/\1 DURATIONS/
s/("active": )[0-9]+/\1NANOSECONDS/
# Ids, addresses, paths.
s/\b[A-Z][A-Z2-7]{55}\b/KEY/g
s/sha256:[0-9a-f]{64}/SHA256/
s/_INBOX\.[A-Za-z0-9.]+/INBOX/g
s/\b[A-Za-z0-9]{22}\b/NUID/g
s/\b([Hh]andler:?) [0-9]+/\1 PID/
s/\b(User: nats)-.*/\1-ID/
s/(Group:|"raft_group":) +"?[A-Z]-[A-Za-z0-9-]+"?/\1 GROUP/
s/("peer": )"[A-Za-z0-9]+"/\1PEER/
s/127\.0\.0\.1:[0-9]+/ADDRESS/g
s#/tmp/[A-Za-z0-9./_-]+#PATH#g
s/(Nats-Stream-Source: .*) [A-Za-z0-9]{8}$/\1 IDENTITY/
# Who leads is chosen by lot, and followers are behind or not.
s/\bn[0-9]\b/nX/g
s/nX\*?, nX\*?, nX\*?/REPLICAS/g
s/(Replica: nX),.*/\1/
/^ *"lag": [0-9]+,$/d
s/^( *"(current|offline)":).*/\1 BOOLEAN,/
# What a machine happens to do and to have done before.
s/(Client ID: )[0-9]+/\1NUMBER/
s/(CPU Cores: [0-9]+) .*/\1 PERCENT/
s/^( *(Memory|Connections|Subscriptions|Messages|Bytes|API Requests|API Errors): +)[0-9.]+.* (in .* out|[KMG]iB)$/\1NUMBERS/
s/^( *(API Requests|API Errors|Subscriptions): +)[0-9]+$/\1NUMBER/
# Tables are as wide as what is in them.
s/[─━═]+/-/g
s/[-]{2,}/-/g
s/ +/ /g
s/^ //
s/ $//
# The columns of `server list`: connections, subscriptions, routes, memory, CPU.
s/^(│ nX │[^│]*│ 127 │ 2\.15\.2 │ yes │).*/\1 NUMBERS/
s/^│ │ [01] │ [0-9]+ │ │ [0-9]+ │.*/│ TOTALS/
# The columns of `server report`.
s/^(│ nX\*? │( tour)? │ [0-9]+ │ [0-9]+ │ [0-9]+ │ [0-9.]+ [KMi]*B │ [0-9.]+ [KMi]*B │ [0-9.]+ [KMi]*B │) [0-9]+ │/\1 REQUESTS │/
s/^│ nX\* │/│ nX │/
s/^(│ │ │ [0-9]+ │ [0-9]+ │ [0-9]+ │ [0-9.]+ [KMi]*B │ [0-9.]+ [KMi]*B │ [0-9.]+ [KMi]*B │) [0-9]+ │/\1 REQUESTS │/
s/^(│ nX) │ [A-Za-z0-9]{8,16} │/\1 │ PEER │/
s/^(│ \$SYS │ 1 │).*/\1 NUMBERS/
s/^│ nX │ PEER │.*/│ nX │ PEER │ STATE/
s/^│ [0-9]+ (│ NATS CLI Version.*│ DURATION │).*/│ CID \1 NUMBERS/
