# The control plane of the cluster: certificates, network, etcd, API server, controllers. Sourced after lib.sh.
export KUBECONFIG=$RUN/admin.conf

# make_certificate NAME SUBJECT [NAMES]: $RUN/pki/NAME.{key,crt}, for a client or a server.
make_certificate() {
  local extensions="extendedKeyUsage=serverAuth,clientAuth"
  [ -z "${3:-}" ] || extensions+=$'\n'"subjectAltName=$3"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$RUN/pki/$1.key" -subj "$2" 2>/dev/null |
    openssl x509 -req -CA "$RUN/pki/ca.crt" -CAkey "$RUN/pki/ca.key" -CAcreateserial -days 365 -out "$RUN/pki/$1.crt" \
      -extfile <(echo "$extensions") 2>/dev/null
}

# make_kubeconfig NAME: $RUN/NAME.conf with the certificate of that name.
make_kubeconfig() {
  local config=(kubectl --kubeconfig "$RUN/$1.conf" config)
  "${config[@]}" set-cluster weir --server "https://$CONTROL_IP:6443" --certificate-authority "$RUN/pki/ca.crt" --embed-certs >/dev/null
  "${config[@]}" set-credentials "$1" --client-certificate "$RUN/pki/$1.crt" --client-key "$RUN/pki/$1.key" --embed-certs >/dev/null
  "${config[@]}" set-context weir --cluster weir --user "$1" >/dev/null
  "${config[@]}" use-context weir >/dev/null
}

make_pki() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$RUN/pki/ca.key" -out "$RUN/pki/ca.crt" \
    -subj /CN=weir-e2e -days 365 2>/dev/null
  openssl genrsa -out "$RUN/pki/sa.key" 2048 2>/dev/null
  local service=kubernetes.default.svc
  make_certificate apiserver /CN=kube-apiserver \
    "IP:$CONTROL_IP,IP:$API_SERVICE_IP,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:$service,DNS:$service.cluster.local"
  make_certificate admin /O=system:masters/CN=admin
  make_kubeconfig admin
  local part
  for part in kube-controller-manager kube-scheduler kube-proxy; do
    make_certificate "$part" "/CN=system:$part"
    make_kubeconfig "$part"
  done
}

# A bridge in the control plane's namespace with one leg on this machine; nodes add theirs.
make_network() {
  ip netns add "$CONTROL_NETNS"
  in_control ip link set lo up
  in_control ip link add br0 type bridge
  in_control ip addr add "$CONTROL_IP/24" dev br0
  in_control ip link set br0 up
  ip link add "$MACHINE_LINK" type veth peer name machine netns "$CONTROL_NETNS"
  in_control ip link set machine master br0 up
  ip addr add "$MACHINE_IP/24" dev "$MACHINE_LINK"
  ip link set "$MACHINE_LINK" up
  in_control sysctl -qw net.ipv4.ip_forward=1
  # The API server calls webhooks behind Services; the machine calls pods and Services.
  in_control ip route add "$SERVICES" dev br0
  ip route add "$PODS" via "$CONTROL_IP"
  ip route add "$SERVICES" via "$CONTROL_IP"
}

# start_part NAME COMMAND...: runs a part of the control plane in $RUN.
start_part() {
  local name=$1
  shift
  (
    cd "$RUN"
    join_cpu_group "$CONTROL_NETNS"
    exec nsenter --net="/run/netns/$CONTROL_NETNS" "$@" >>"$RUN/$name.log" 2>&1
  ) &
  echo $! >"$RUN/$name.pid"
}

start_control_plane() {
  make_cpu_group "$CONTROL_NETNS"
  start_part etcd etcd --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn
  start_part kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --bind-address "$CONTROL_IP" \
    --advertise-address "$CONTROL_IP" --service-cluster-ip-range "$SERVICES" --authorization-mode Node,RBAC \
    --enable-admission-plugins NodeRestriction --allow-privileged --kubelet-preferred-address-types InternalIP \
    --client-ca-file pki/ca.crt --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key \
    --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key --kubelet-certificate-authority pki/ca.crt \
    --service-account-key-file pki/sa.key --service-account-signing-key-file pki/sa.key \
    --service-account-issuer https://kubernetes.default.svc
  wait_for 120 "the API server" kubectl get --raw /readyz
  # A lost node is noticed within 20 s instead of Kubernetes' 50.
  start_part kube-controller-manager kube-controller-manager --kubeconfig kube-controller-manager.conf \
    --use-service-account-credentials --service-account-private-key-file pki/sa.key --root-ca-file pki/ca.crt \
    --cluster-signing-cert-file pki/ca.crt --cluster-signing-key-file pki/ca.key --leader-elect=false \
    --node-monitor-grace-period 20s --flex-volume-plugin-dir "$RUN/flex"
  start_part kube-scheduler kube-scheduler --kubeconfig kube-scheduler.conf --leader-elect=false
}
