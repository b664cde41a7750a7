#!/usr/bin/env bash
# A Secrets Manager, a Parameter Store and an STS on loopback: Moto, from PyPI in the versions of moto-requirements.txt.
#
#   moto.sh fetch              brings it into $DRAY_RIG/moto (default: .rig in the repository); once there, needs no network
#   moto.sh start DIR PORT     one on 127.0.0.1:PORT with everything it owns in DIR; returns once it answers. What it knows is in memory:
#                              started again it knows nothing. Files: DIR/moto.pid, moto.log
#   moto.sh stop DIR           asks it to end, kills it after 10 s; succeeds if nothing runs
#   moto.sh pause DIR          SIGSTOP, and `resume DIR`: SIGCONT
#
# Processes are ended by the pid in DIR/moto.pid only, and only if that process still is the Moto of DIR.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home="${DRAY_RIG:-$(cd "$here/../.." && pwd)/.rig}/moto"

fail() { echo "moto.sh: $*" >&2; exit 1; }

fetch() {
  local versions; versions=$(sha256sum <"$here/moto-requirements.txt")
  [ "$(cat "$home/versions" 2>/dev/null)" != "$versions" ] || return 0
  command -v python3 >/dev/null || fail "python3 is missing: run \`make setup\`"
  echo "moto.sh: fetching Moto from PyPI" >&2
  rm -rf "$home"
  python3 -m venv "$home"
  "$home/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/moto-requirements.txt"
  echo "$versions" >"$home/versions"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The pid of DIR's Moto, nothing if it does not run. A pid that came to belong to another process does not count.
pid_of() {
  local pid; pid=$(cat "$1/moto.pid" 2>/dev/null) || return 0
  case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -ww -p "$pid" -o args=; } 2>/dev/null) in
    *" dray.dir=$1 "*) echo "$pid" ;;
  esac
}

# A zombie that its parent has not reaped yet is gone as well.
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
wait_gone() { # pid, tenths of a second
  for _ in $(seq 1 "$2"); do ! gone "$1" || return 0; sleep 0.1; done
  return 1
}

answers() { # port
  { exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /moto-api/data.json HTTP/1.0\r\n\r\n' >&3 && grep -q '^HTTP/1.[01] 200' <&3; } 2>/dev/null
}

start() {
  local dir=$1 port=$2 pid
  [ -z "$(pid_of "$dir")" ] || fail "the Moto of $dir runs already"
  ! listens "$port" || fail "something listens on port $port already"
  # A session of its own: Ctrl-C reaches whoever started us, who then stops it in order. Python takes any -X, so its folder is seen there.
  (exec setsid "$home/bin/python" -X "dray.dir=$dir" -m moto.server -H 127.0.0.1 -p "$port") >>"$dir/moto.log" 2>&1 </dev/null &
  pid=$!; echo "$pid" >"$dir/moto.pid"
  [ -z "${DRAY_TEST_MOTO_STARTED:-}" ] || echo "$pid $dir" >>"$DRAY_TEST_MOTO_STARTED"
  for _ in $(seq 1 600); do
    ! (answers "$port") || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 30 "$dir/moto.log" >&2
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$dir/moto.pid"
  fail "the Moto of $dir did not start on port $port"
}

stop() {
  local pid; pid=$(pid_of "$1")
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true # one that is paused hears nothing
    wait_gone "$pid" 100 || { kill -KILL "$pid" 2>/dev/null || true; wait_gone "$pid" 50 || fail "pid $pid does not end"; }
  fi
  rm -f "$1/moto.pid"
}

signal() { # DIR SIGNAL
  local pid; pid=$(pid_of "$1"); [ -n "$pid" ] || fail "the Moto of $1 does not run"
  kill "-$2" "$pid"
}

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2; exit 2; }
command=${1:-}; [ $# = 0 ] || shift
case $command/$# in
  fetch/0) fetch ;;
  start/2) fetch; mkdir -p "$1"; start "$(cd "$1" && pwd)" "$2" ;;
  stop/1) [ ! -d "$1" ] || stop "$(cd "$1" && pwd)" ;;
  pause/1) signal "$(cd "$1" && pwd)" STOP ;;
  resume/1) signal "$(cd "$1" && pwd)" CONT ;;
  *) usage ;;
esac
