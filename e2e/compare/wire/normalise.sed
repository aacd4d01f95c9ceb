# Takes out of a wire transcript what differs between any two runs.
s/_R_\.[A-Za-z0-9.]+/_R_/g
s/"rtt":[0-9]+,?//g
s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/TIME/g
s/"id":"[A-Za-z0-9]+"/"id":ID/g
s/"(id|port|seq|cid|flags)":[0-9]+/"\1":N/g
s/\b[A-Z][A-Z2-7]{55}\b/KEY/g
s/"(service|system|total)":-?[0-9]+/"\1":NANOSECONDS/g
s/\.[0-9]{19}\./.NANOSECONDS./g
s/"(rtt|uptime|idle)":"[^"]*",?//g
s/"feature_flags":\{[^}]*\},?//g
s/\\u003e/>/g
s/"metadata":\{[^}]*\},?//g
# How many services a server has for itself in every account.
s/"num_subscriptions":[0-9]+/"num_subscriptions":N/g
# Sizes depend on all of these.
s/(\b(MSG|HMSG) [^|]*) [0-9]+ \|/\1 SIZE |/g
s/(HMSG [^|]*) [0-9]+ SIZE/\1 SIZE/g
s/  +/ /g
