#!/usr/bin/env bash
# A real etcd on loopback, of one node or several: what the tests of the store run against. Debian's etcd-server is enough.
#
#   etcd.sh start DIR [NODES]      NODES members (default 1) on free ports of 127.0.0.1 with everything they own in DIR; returns once all
#                                  are healthy. Started again, the same DIR brings the same members back on the same ports. More
#                                  flags: $DRAY_ETCD_EXTRA; "https" for the clients' scheme: $DRAY_ETCD_SCHEME. Files: DIR/endpoints
#                                  (one URL a line), DIR/N/etcd.{pid,log,args}, DIR/N/data
#   etcd.sh up DIR N               starts member N again, as it was; does not wait
#   etcd.sh stop DIR [N]           asks all members, or one, to end; kills after 10 s; succeeds if nothing runs
#   etcd.sh kill9 DIR [N]          kill -9, as a crash would
#   etcd.sh pause DIR N            SIGSTOP, and `resume DIR N`: SIGCONT
#
# Processes are ended by the pid in their folder only, and only if that process still is the member of that folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() { echo "etcd.sh: $*" >&2; exit 1; }

# The pid of a member, nothing if it does not run. A pid that came to belong to another process does not count.
pid_of() { # DIR N
  local pid; pid=$(cat "$1/$2/etcd.pid" 2>/dev/null) || return 0
  case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -ww -p "$pid" -o args=; } 2>/dev/null) in
    *"etcd "*"--data-dir $1/$2/data "*) echo "$pid" ;;
  esac
}
members() { local at; for at in "$1"/[0-9]*/; do [ ! -d "$at" ] || basename "$at"; done; }

# A zombie that its parent has not reaped yet is gone as well.
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
wait_gone() { # pid, tenths of a second
  for _ in $(seq 1 "$2"); do ! gone "$1" || return 0; sleep 0.1; done
  return 1
}

up() { # DIR N
  local dir=$1 number=$2 pid
  [ -z "$(pid_of "$dir" "$number")" ] || fail "member $number of $dir runs already"
  local args=(); mapfile -t args <"$dir/$number/etcd.args"
  # A session of its own: Ctrl-C reaches whoever started us, who then stops it in order.
  (exec setsid etcd "${args[@]}") >>"$dir/$number/etcd.log" 2>&1 </dev/null &
  pid=$!; echo "$pid" >"$dir/$number/etcd.pid"
  [ -z "${DRAY_TEST_ETCD_STARTED:-}" ] || echo "$pid $dir/$number/data" >>"$DRAY_TEST_ETCD_STARTED"
}

prepare() { # DIR NODES: ports, flags
  local dir=$1 nodes=$2 scheme=${DRAY_ETCD_SCHEME:-http} ports cluster='' number
  # shellcheck disable=SC2207 # numbers
  ports=($("$here/kafka.sh" freeport $((2 * nodes))))
  for number in $(seq 1 "$nodes"); do cluster+="${cluster:+,}m$number=http://127.0.0.1:${ports[2 * number - 1]}"; done
  : >"$dir/endpoints.new"
  for number in $(seq 1 "$nodes"); do
    local client="$scheme://127.0.0.1:${ports[2 * number - 2]}" peer="http://127.0.0.1:${ports[2 * number - 1]}"
    mkdir -p "$dir/$number"
    # One flag or value a line: that is how `up` reads them. Disks are synced: what a crash leaves behind is part of the tests.
    # shellcheck disable=SC2086 # the words of DRAY_ETCD_EXTRA are wanted
    printf '%s\n' --data-dir "$dir/$number/data" --name "m$number" --listen-client-urls "$client" --advertise-client-urls "$client" \
      --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "$cluster" --initial-cluster-state new \
      --log-level warn ${DRAY_ETCD_EXTRA:-} >"$dir/$number/etcd.args"
    echo "$client" >>"$dir/endpoints.new"
  done
  mv "$dir/endpoints.new" "$dir/endpoints"
}

# Whether a member is healthy, which takes a leader. Behind TLS only whether it listens.
answers() { # URL
  local port=${1##*:}
  case $1 in
    https:*) (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ;;
    *) { exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /health HTTP/1.0\r\n\r\n' >&3 && grep -q '"health":"true"' <&3; } 2>/dev/null ;;
  esac
}

start() {
  local dir=$1 nodes=$2 attempt
  if [ -f "$dir/endpoints" ]; then
    start_all "$dir" || fail "the etcd of $dir did not start"
    return 0
  fi
  for attempt in 1 2 3; do # a free port can be taken before etcd has it
    prepare "$dir" "$nodes"
    ! start_all "$dir" || return 0
    rm -rf "$dir"/[0-9]* "$dir/endpoints"
  done
  fail "no etcd started in $dir"
}

start_all() {
  local dir=$1 number url good
  for number in $(members "$dir"); do up "$dir" "$number"; done
  for _ in $(seq 1 300); do
    good=0
    while read -r url; do ! (answers "$url") || good=$((good + 1)); done <"$dir/endpoints"
    [ "$good" -lt "$(wc -l <"$dir/endpoints")" ] || return 0
    for number in $(members "$dir"); do [ -n "$(pid_of "$dir" "$number")" ] || break 2; done
    sleep 0.1
  done
  for number in $(members "$dir"); do tail -n 10 "$dir/$number/etcd.log" >&2; kill9 "$dir" "$number"; done
  return 1
}

stop() { # DIR N
  local pid; pid=$(pid_of "$1" "$2")
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true # one that is paused hears nothing
    wait_gone "$pid" 100 || kill9 "$1" "$2"
  fi
  rm -f "$1/$2/etcd.pid"
}

kill9() { # DIR N
  local pid; pid=$(pid_of "$1" "$2")
  [ -z "$pid" ] || { kill -KILL "$pid" 2>/dev/null || true; wait_gone "$pid" 50 || fail "pid $pid does not end"; }
  rm -f "$1/$2/etcd.pid"
}

signal() { # DIR N SIGNAL
  local pid; pid=$(pid_of "$1" "$2"); [ -n "$pid" ] || fail "member $2 of $1 does not run"
  kill "-$3" "$pid"
}

each() { local number; for number in ${3:-$(members "$2")}; do "$1" "$2" "$number"; done; }
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2; exit 2; }
command=${1:-}; [ $# = 0 ] || shift
[ $# -ge 1 ] || usage
case $command/$# in
  start/1 | start/2)
    command -v etcd >/dev/null || fail "etcd is missing: run \`make setup\`"
    command -v setsid >/dev/null || fail "setsid is missing: run \`make setup\`"
    mkdir -p "$1"; start "$(cd "$1" && pwd)" "${2:-1}" ;;
  up/2) up "$(cd "$1" && pwd)" "$2" ;;
  stop/1 | stop/2 | kill9/1 | kill9/2) [ ! -d "$1" ] || each "$command" "$(cd "$1" && pwd)" "${2:-}" ;;
  pause/2) signal "$(cd "$1" && pwd)" "$2" STOP ;;
  resume/2) signal "$(cd "$1" && pwd)" "$2" CONT ;;
  *) usage ;;
esac
