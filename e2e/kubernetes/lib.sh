# Names and places that the scripts of this folder share. Sourced by bash scripts, with HERE set to this folder.

# --- files

# What was built stays here from run to run, under a name made of everything it was built from.
CACHE=${WEIR_CACHE:-$HOME/.cache/weir/kubernetes}
TOOLS_KEY=$(cd "$HERE/tools" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
BIN=$CACHE/$TOOLS_KEY/bin
# Images that every cluster needs, as OCI archives.
IMAGES=$CACHE/$TOOLS_KEY/images
# Everything the running cluster writes; `down` removes it.
RUN=${WEIR_KUBERNETES_RUN:-$CACHE/run}

export PATH=$BIN:/usr/sbin:/sbin:$PATH

# --- network: the control plane sits on a bridge in a network namespace of its own, each node in another one

CONTROL_NETNS=weir-control
CONTROL_IP=10.240.0.1
# The leg of the machine itself on that bridge.
MACHINE_IP=10.240.0.254
MACHINE_LINK=weir-k8s
SERVICES=10.96.0.0/16
API_SERVICE_IP=10.96.0.1
DNS_IP=10.96.0.10
PODS=10.244.0.0/16

# Nodes are numbered 1 to 9.
node_ip() { echo "10.240.0.$((10 + $1))"; }
node_pods() { echo "10.244.$1.0/24"; }
node_netns() { echo "weir-n$1"; }

in_control() { nsenter --net="/run/netns/$CONTROL_NETNS" "$@"; }

# --- control groups, where cgroup v1 is used

CGROUP_V1_CONTROLLERS="cpu cpuacct cpuset memory devices freezer blkio pids systemd"

CPU_GROUPS=/sys/fs/cgroup/cpu
# What the control plane and each node get of the machine's time, where one process has 1024: with no group of their own, or one of
# the usual weight, a busy machine would let all pods of a node wait for one of its processes.
CPU_SHARES=16384

# make_cpu_group NAME, where there are such groups.
make_cpu_group() {
  [ -f "$CPU_GROUPS/cpu.shares" ] || return 0
  mkdir -p "$CPU_GROUPS/$1"
  echo "$CPU_SHARES" >"$CPU_GROUPS/$1/cpu.shares"
}

# join_cpu_group NAME: moves this process there, and so all that it starts; without a name, out of any.
join_cpu_group() { [ ! -f "$CPU_GROUPS/$1/cpu.shares" ] || echo 0 >"$CPU_GROUPS/$1/cgroup.procs"; }

# --- small helpers

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# wait_for SECONDS WHAT COMMAND...: repeats the command until it succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { say "$what: not within its time"; return 1; }
    sleep 0.1
  done
}

# retry COMMAND...: for what asks the network: three times, with time for it to come back.
retry() {
  local attempt
  for attempt in 1 2 3; do
    "$@" && return
    say "attempt $attempt of 3 failed: $*"
    [ "$attempt" = 3 ] || sleep 5
  done
  return 1
}

# kill_pid FILE: ends the process whose id the file holds, waits until it is gone, and removes the file.
kill_pid() {
  [ -f "$1" ] || return 0
  local pid
  pid=$(cat "$1")
  kill -9 "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
  rm -f "$1"
}
