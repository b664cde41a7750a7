#!/usr/bin/env bash
# A real Kafka cluster of three brokers on loopback, each in a rack of its own: node N is in rack-N. Node 1 is the controller as well, so
# nodes 2 and 3 are those to stop and kill. The nodes are kafka.sh's, and so is how they are ended.
#
#   cluster.sh start DIR        starts what does not run of the three and returns once all answer; a folder that is new is a new cluster.
#                               Extra lines of every node's server.properties: $DRAY_BROKER_EXTRA, read when the folder is new.
#                               Files: DIR/bootstrap with `127.0.0.1:PORT` of each node, a line each; DIR/N is kafka.sh's folder of node N
#   cluster.sh start DIR N      starts node N again
#   cluster.sh stop DIR N       asks it to shut down, which moves its leaderships to others
#   cluster.sh kill9 DIR N      kill -9, as a crash would
#   cluster.sh end DIR          kill -9 for all
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kafka="$here/kafka.sh"
fail() { echo "cluster.sh: $*" >&2; exit 1; }

plan() { # a new folder: ports, an id, and what each node is told
  local dir=$1 ports controller node port
  mapfile -t ports < <("$kafka" freeport 4)
  controller=${ports[3]}
  # Like kafka.sh's own; the part behind the dash is random.
  head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=' >"$dir/id"
  : >"$dir/bootstrap"
  for node in 1 2 3; do
    port=${ports[$((node - 1))]}
    mkdir -p "$dir/$node"
    {
      echo "node.id=$node"
      echo "broker.rack=rack-$node"
      if [ "$node" != 1 ]; then
        echo "process.roles=broker"
        echo "listeners=PLAINTEXT://127.0.0.1:$port"
      fi
      echo "controller.quorum.voters=1@127.0.0.1:$controller"
      echo "offsets.topic.replication.factor=3"
      echo "transaction.state.log.replication.factor=3"
      echo "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector"
      # Leaders move when a test says so.
      echo "auto.leader.rebalance.enable=false"
      # A second by default, for which a partition whose leader has moved takes no record that has to be replicated.
      echo "replica.fetch.backoff.ms=50"
      # 128 MB by default, which is most of the heap.
      echo "log.cleaner.dedupe.buffer.size=4194304"
      echo "${DRAY_BROKER_EXTRA:-}"
    } >"$dir/$node/extra"
    echo "127.0.0.1:$port" >>"$dir/bootstrap"
  done
  # Where kafka.sh has node 1 listen as a controller.
  echo "$controller" >"$dir/1/controller.port"
}

start_node() {
  local dir=$1 node=$2 address
  address=$(sed -n "${node}p" "$dir/bootstrap")
  # They live for a minute: what the better compiler would do is never paid back.
  JDK_JAVA_OPTIONS="-XX:TieredStopAtLevel=1 ${JDK_JAVA_OPTIONS:-}" \
    DRAY_BROKER_HEAP=200m DRAY_BROKER_CLUSTER=$(cat "$dir/id") DRAY_BROKER_EXTRA=$(cat "$dir/$node/extra") \
    "$kafka" start "$dir/$node" "${address##*:}"
}

start() {
  local dir=$1 node pids=() pid failed=0
  "$kafka" fetch
  [ -f "$dir/bootstrap" ] || plan "$dir"
  for node in 1 2 3; do
    [ ! -f "$dir/$node/broker.pid" ] || continue
    start_node "$dir" "$node" & pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  [ "$failed" = 0 ] || { end "$dir"; fail "the cluster of $dir did not start"; }
}

end() {
  local node
  for node in 1 2 3; do "$kafka" kill9 "$1/$node"; done
}

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2; exit 2; }
command=${1:-}; [ $# = 0 ] || shift
case $command/$#/${2:-} in
  start/1/) mkdir -p "$1"; start "$(cd "$1" && pwd)" ;;
  start/2/[123]) start_node "$(cd "$1" && pwd)" "$2" ;;
  stop/2/[123] | kill9/2/[123]) "$kafka" "$command" "$1/$2" ;;
  end/1/) [ ! -d "$1" ] || end "$(cd "$1" && pwd)" ;;
  *) usage ;;
esac
