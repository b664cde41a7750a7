#!/usr/bin/env bash
# A real Apache Kafka broker on loopback, from nothing but Java 17 and Maven: what the tests run against.
#
#   kafka.sh fetch                 copies the jars into $DRAY_RIG/kafka/libs (default: .rig in the repository); once there, needs no network
#   kafka.sh start DIR PORT        one KRaft node on 127.0.0.1:PORT with everything it owns in DIR; returns once it answers.
#                                  After a stop or a kill the same DIR and PORT bring the same broker back. Extra lines of
#                                  server.properties: $DRAY_BROKER_EXTRA; heap: $DRAY_BROKER_HEAP (512m); id of the cluster that a new
#                                  one is of: $DRAY_BROKER_CLUSTER. Files: DIR/broker.pid, broker.log, server.properties, data/
#                                  Three nodes of one cluster: cluster.sh
#   kafka.sh stop DIR              asks it to shut down cleanly, kills it after 30 s; succeeds if nothing runs
#   kafka.sh kill9 DIR             kill -9, as a crash would
#   kafka.sh freeport [N]          prints N ports (default 1) on which nothing listens, and that nobody else was given for ten minutes
#   kafka.sh tool CLASS ARGS...    a tool, e.g. org.apache.kafka.tools.TopicCommand --bootstrap-server 127.0.0.1:PORT --list
#
# Processes are ended by the pid in DIR/broker.pid only, and only if that process still is the broker of DIR.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rig=${DRAY_RIG:-$(cd "$here/../.." && pwd)/.rig}
libs="$rig/kafka/libs"

fail() { echo "kafka.sh: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is missing: run \`make setup\`"; }

# Offline first, so that jars in Maven's own cache suffice. The folder appears by one rename: half a fetch is never taken for a whole one.
fetch() {
  local want have=''; want=$(cksum <"$here/pom.xml")
  [ ! -f "$libs/.complete" ] || have=$(cat "$libs/.complete")
  [ "$have" != "$want" ] || return 0
  need mvn; need java
  mkdir -p "$rig/kafka"
  local new; new=$(mktemp -d "$rig/kafka/libs.XXXXXX")
  echo "kafka.sh: fetching the Kafka jars with Maven (about 100 MB the first time)" >&2
  local copy=(mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$new")
  "${copy[@]}" -o >/dev/null 2>&1 || "${copy[@]}" >&2 || { rm -rf "$new"; fail "Maven could not fetch the Kafka jars"; }
  # For the benchmarks only: on a class path of Connect it would add plugins that the comparisons of its REST API do not expect.
  mkdir "$new/mirror" && mv "$new"/connect-mirror-*.jar "$new/mirror/"
  echo "$want" >"$new/.complete"
  # Two fetches at once: the second finds the first one's folder and leaves it.
  [ ! -f "$libs/.complete" ] || [ "$(cat "$libs/.complete")" != "$want" ] || { rm -rf "$new"; return 0; }
  rm -rf "$libs"; mv "$new" "$libs"
}

java_() { # heap, log level, arguments: replaces this process
  exec java "-Xmx$1" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Ddray.log="$2" \
    -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$libs/*" "${@:3}"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# True for the first who asks in ten minutes: between the answer and the server that listens there, others ask for ports too.
claim() {
  local given="${TMPDIR:-/tmp}/dray-ports-$UID"
  mkdir -p "$given"
  find "$given" -type f -mmin +10 -delete 2>/dev/null || true
  (set -o noclobber; : >"$given/$1") 2>/dev/null
}

# Below the range from which the kernel gives ports to outgoing connections, so that none of those takes the port meanwhile.
freeport() {
  local port
  for _ in $(seq 1 200); do
    port=$((20000 + RANDOM % 12000))
    if ! listens "$port" && claim "$port"; then echo "$port"; set -- $(($1 - 1)); fi
    [ "$1" -gt 0 ] || return 0
  done
  fail "found no free port"
}

# The pid of DIR's broker, nothing if it does not run. A pid that came to belong to another process does not count.
broker_pid() {
  local pid; pid=$(cat "$1/broker.pid" 2>/dev/null) || return 0
  case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -ww -p "$pid" -o args=; } 2>/dev/null) in
    *"kafka.Kafka $1/server.properties"*) echo "$pid" ;;
  esac
}

# Gone is: no process, or a zombie whose last thread has ended (an init that does not reap leaves those); either way its ports are free.
gone() {
  ! kill -0 "$1" 2>/dev/null ||
    { grep -q '^State:[[:space:]]*Z' "/proc/$1/status" && [ "$(ls "/proc/$1/task" | wc -l)" = 1 ]; } 2>/dev/null
}
wait_gone() { # pid, tenths of a second
  for _ in $(seq 1 "$2"); do ! gone "$1" || return 0; sleep 0.1; done
  return 1
}

new_id() { head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '='; }

start() {
  local dir=$1 port=$2 controller pid
  [ -z "$(broker_pid "$dir")" ] || fail "the broker of $dir runs already"
  ! listens "$port" || fail "something listens on port $port already"
  controller=$(cat "$dir/controller.port" 2>/dev/null) && ! listens "$controller" || controller=$(freeport 1)
  while [ "$controller" = "$port" ]; do controller=$(freeport 1); done # a port of the caller's own choice
  echo "$controller" >"$dir/controller.port"
  cat >"$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
log.dirs=$dir/data
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.hours=24
# After kill -9 the broker may not register again before its old session has ended: 9 s by default.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
${DRAY_BROKER_EXTRA:-}
P
  if [ ! -f "$dir/data/meta.properties" ]; then
    local id; id=${DRAY_BROKER_CLUSTER:-$(new_id)}
    (java_ 256m warn kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties") >"$dir/format.log" 2>&1 ||
      { cat "$dir/format.log" >&2; fail "could not format $dir/data"; }
  fi
  local seen=0; [ ! -f "$dir/broker.log" ] || seen=$(wc -c <"$dir/broker.log")
  # A session of its own: Ctrl-C reaches whoever started us, who then stops the broker in order.
  (exec setsid java "-Xmx${DRAY_BROKER_HEAP:-512m}" -XX:+UseSerialGC -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$libs/*" \
    kafka.Kafka "$dir/server.properties") >>"$dir/broker.log" 2>&1 </dev/null &
  pid=$!; echo "$pid" >"$dir/broker.pid"
  [ -z "${DRAY_TEST_STARTED:-}" ] || echo "$pid $dir" >>"$DRAY_TEST_STARTED"
  for _ in $(seq 1 600); do
    # Its own word first: a port that answers could be somebody else's. (Not grep -q, which would fail tail under pipefail.)
    [ "$(tail -c +$((seen + 1)) "$dir/broker.log" | grep -c 'Kafka Server started')" = 0 ] || ! listens "$port" || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 30 "$dir/broker.log" >&2
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$dir/broker.pid"
  fail "the broker of $dir did not start on port $port"
}

stop() {
  local pid; pid=$(broker_pid "$1")
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null || true
    wait_gone "$pid" 300 || { kill -KILL "$pid" 2>/dev/null || true; wait_gone "$pid" 50 || fail "pid $pid does not end"; }
  fi
  rm -f "$1/broker.pid"
}

kill9() {
  local pid; pid=$(broker_pid "$1")
  [ -z "$pid" ] || { kill -KILL "$pid" 2>/dev/null || true; wait_gone "$pid" 50 || fail "pid $pid does not end"; }
  rm -f "$1/broker.pid"
}

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2; exit 2; }
command=${1:-}; [ $# = 0 ] || shift
case $command/$# in
  fetch/0) fetch ;;
  start/2) need java; need setsid; fetch; mkdir -p "$1"; start "$(cd "$1" && pwd)" "$2" ;;
  stop/1 | kill9/1) [ ! -d "$1" ] || "$command" "$(cd "$1" && pwd)" ;;
  freeport/0) freeport 1 ;;
  freeport/1) freeport "$1" ;;
  tool/0) usage ;;
  tool/*) need java; fetch; java_ 512m warn "$@" ;;
  *) usage ;;
esac
