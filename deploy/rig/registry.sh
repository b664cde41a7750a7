#!/usr/bin/env bash
# A real schema registry on loopback, from nothing but Java 17 and Maven: Apicurio, which speaks Confluent's API as well.
#
#   registry.sh fetch              copies it into $DRAY_RIG/registry (default: .rig in the repository); once there, needs no network
#   registry.sh start DIR PORT     one on 127.0.0.1:PORT with everything it owns in DIR; returns once it answers. Its schemas are in memory:
#                                  started again it has none. Files: DIR/registry.pid, registry.log. Confluent's API is behind
#                                  http://127.0.0.1:PORT/apis/ccompat/v7
#   registry.sh stop DIR           asks it to end, kills it after 10 s; succeeds if nothing runs
#   registry.sh kill9 DIR          kill -9, as a crash would
#   registry.sh pause DIR          SIGSTOP, and `resume DIR`: SIGCONT
#
# Processes are ended by the pid in DIR/registry.pid only, and only if that process still is the registry of DIR.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# 2.6 runs on Java 17, later ones need 21.
version=2.6.13.Final
home="${DRAY_RIG:-$(cd "$here/../.." && pwd)/.rig}/registry"
jar="$home/$version/apicurio-registry-app-$version-runner.jar"

fail() { echo "registry.sh: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is missing: run \`make setup\`"; }

# Offline first, so that an archive in Maven's own cache suffices. The folder appears by one rename: half a fetch is never taken for a whole one.
fetch() {
  [ ! -f "$jar" ] || return 0
  need mvn; need java
  mkdir -p "$home"
  local new; new=$(mktemp -d "$home/new.XXXXXX")
  echo "registry.sh: fetching Apicurio $version with Maven (about 140 MB the first time)" >&2
  local copy=(mvn -q -B dependency:copy -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -DoutputDirectory="$new")
  "${copy[@]}" -o >/dev/null 2>&1 || "${copy[@]}" >&2 || { rm -rf "$new"; fail "Maven could not fetch Apicurio"; }
  tar xzf "$new"/*-all.tar.gz -C "$new" && rm "$new"/*-all.tar.gz
  # Two fetches at once: the second finds the first one's folder and leaves it.
  [ ! -f "$jar" ] || { rm -rf "$new"; return 0; }
  rm -rf "${home:?}/$version"; mv "$new" "$home/$version"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The pid of DIR's registry, nothing if it does not run. A pid that came to belong to another process does not count.
pid_of() {
  local pid; pid=$(cat "$1/registry.pid" 2>/dev/null) || return 0
  case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -ww -p "$pid" -o args=; } 2>/dev/null) in
    *"-Ddray.dir=$1 "*) echo "$pid" ;;
  esac
}

# A zombie that its parent has not reaped yet is gone as well.
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
wait_gone() { # pid, tenths of a second
  for _ in $(seq 1 "$2"); do ! gone "$1" || return 0; sleep 0.1; done
  return 1
}

answers() { # port
  { exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /apis/ccompat/v7/subjects HTTP/1.0\r\n\r\n' >&3 && grep -q '^HTTP/1.[01] 200' <&3; } 2>/dev/null
}

start() {
  local dir=$1 port=$2 pid
  [ -z "$(pid_of "$dir")" ] || fail "the registry of $dir runs already"
  ! listens "$port" || fail "something listens on port $port already"
  # A session of its own: Ctrl-C reaches whoever started us, who then stops it in order.
  (exec setsid java "-Ddray.dir=$dir" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 \
    -Dquarkus.http.port="$port" -jar "$jar") >>"$dir/registry.log" 2>&1 </dev/null &
  pid=$!; echo "$pid" >"$dir/registry.pid"
  [ -z "${DRAY_TEST_REGISTRY_STARTED:-}" ] || echo "$pid $dir" >>"$DRAY_TEST_REGISTRY_STARTED"
  for _ in $(seq 1 1200); do
    ! (answers "$port") || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 30 "$dir/registry.log" >&2
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$dir/registry.pid"
  fail "the registry of $dir did not start on port $port"
}

stop() {
  local pid; pid=$(pid_of "$1")
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true # one that is paused hears nothing
    wait_gone "$pid" 100 || kill9 "$1"
  fi
  rm -f "$1/registry.pid"
}

kill9() {
  local pid; pid=$(pid_of "$1")
  [ -z "$pid" ] || { kill -KILL "$pid" 2>/dev/null || true; wait_gone "$pid" 50 || fail "pid $pid does not end"; }
  rm -f "$1/registry.pid"
}

signal() { # DIR SIGNAL
  local pid; pid=$(pid_of "$1"); [ -n "$pid" ] || fail "the registry of $1 does not run"
  kill "-$2" "$pid"
}

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2; exit 2; }
command=${1:-}; [ $# = 0 ] || shift
case $command/$# in
  fetch/0) fetch ;;
  start/2) need java; need setsid; fetch; mkdir -p "$1"; start "$(cd "$1" && pwd)" "$2" ;;
  stop/1 | kill9/1) [ ! -d "$1" ] || "$command" "$(cd "$1" && pwd)" ;;
  pause/1) signal "$(cd "$1" && pwd)" STOP ;;
  resume/1) signal "$(cd "$1" && pwd)" CONT ;;
  *) usage ;;
esac
