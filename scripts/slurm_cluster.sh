#!/usr/bin/env bash
# A throw-away SLURM cluster of two machines, node1 and node2, on this one; scripts/try_slurm.sh uses it.
#
#     scripts/slurm_cluster.sh up PLACE       then: export SLURM_CONF=PLACE/slurm.conf; sinfo
#     scripts/slurm_cluster.sh down PLACE
#
# A machine is a set of namespaces with a name, a network and processes of its own; the disk is shared. Needs Linux, root,
# and on Debian or Ubuntu: apt-get install slurm-wlm munge iproute2.
set -euo pipefail
place=$(realpath -m "$2")

up() {
    mkdir -p "$place/state"
    umask 077
    head -c 1024 /dev/urandom >"$place/munge.key"
    umask 022
    munged --force --key-file="$place/munge.key" --socket="$place/munge.socket" --pid-file="$place/munged.pid" \
        --log-file="$place/munged.log" --seed-file="$place/munge.seed"
    configure >"$place/slurm.conf"
    # Terminals in place of GPUs: SLURM counts devices, and does not look what they are.
    printf 'AutoDetect=off\nNodeName=node[1-2] Name=gpu File=/dev/tty[0-3]\n' >"$place/gres.conf"
    echo "CgroupPlugin=cgroup/v1" >"$place/cgroup.conf"
    printf '127.0.0.1 localhost\n10.77.0.1 node1\n10.77.0.2 node2\n' >"$place/hosts"
    ip link add mmssl-net type bridge
    ip address add 10.77.0.254/24 dev mmssl-net
    ip link set mmssl-net up
    SLURM_CONF=$place/slurm.conf slurmctld -c
    boot 1
    boot 2
}

configure() {
    cat <<END
ClusterName=mmssl
SlurmctldHost=$(hostname)(10.77.0.254)
SlurmUser=root
AuthInfo=socket=$place/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmdTimeout=20
StateSaveLocation=$place/state
SlurmctldPidFile=$place/slurmctld.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdPidFile=$place/slurmd-%n.pid
SlurmdLogFile=$place/slurmd-%n.log
SlurmdSpoolDir=$place/spool-%n
NodeName=node1 NodeAddr=10.77.0.1 CPUs=32 Gres=gpu:4
NodeName=node2 NodeAddr=10.77.0.2 CPUs=32 Gres=gpu:4
PartitionName=all Nodes=ALL Default=YES
END
}

# Its first process is slurmd; who kills that takes all others of the machine along.
boot() {
    local node=node$1
    ip netns add "mmssl-$node"
    ip link add "mmssl-$node" type veth peer name eth0 netns "mmssl-$node"
    ip link set "mmssl-$node" master mmssl-net up
    ip -n "mmssl-$node" address add "10.77.0.$1/24" dev eth0
    ip -n "mmssl-$node" link set eth0 up
    ip -n "mmssl-$node" link set lo up
    mkdir -p "$place/spool-$node"
    SLURM_CONF=$place/slurm.conf nsenter --net="/run/netns/mmssl-$node" \
        unshare --uts --pid --mount --fork --kill-child --mount-proc \
        sh -c "hostname $node && mount --bind $place/hosts /etc/hosts && exec slurmd -D" >"$place/$node.log" 2>&1 &
    echo $! >"$place/$node.pid"
}

down() {
    for node in node1 node2; do
        kill -9 "$(cat "$place/$node.pid")" || true
        ip netns delete "mmssl-$node" || true
    done
    kill "$(cat "$place/slurmctld.pid")" "$(cat "$place/munged.pid")" || true
    ip link delete mmssl-net || true
} 2>/dev/null

"$1"
