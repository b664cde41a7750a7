#!/usr/bin/env bash
# What no compiler checks: who may depend on whom, and what no file may contain. Prints every breach; exit 1 if there is one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
breaches=0
breach() { echo "arrows: $*" >&2; breaches=$((breaches + 1)); }

# Which crates of ours a crate may name in [dependencies] and [build-dependencies]. A new arrow is a change of this table.
may_name() {
  case $1 in
    dray-model | dray-process | dray-connect | dray-devbroker) echo ;;
    dray-machine | dray-session | dray-wire) echo dray-model ;;
    # The mirror's other side is a Kafka.
    dray-connector-mirror) echo dray-connect dray-kafka ;;
    dray-converters | dray-transforms | dray-connector-*) echo dray-connect ;;
    dray-providers) echo dray-connect dray-process ;;
    dray-kafka) echo dray-model dray-connect ;;
    dray-runtime) echo dray-model dray-session dray-process dray-connect dray-converters dray-transforms dray-providers dray-kafka ;;
    dray-agent) echo dray-model dray-connect dray-converters dray-transforms dray-providers dray-kafka dray-runtime \
      dray-process dray-session dray-wire 'dray-connector-*' ;;
    dray-simulation) echo dray-model dray-machine dray-session ;;
    dray-e2e) echo dray-model dray-process dray-wire ;;
    dray-bench) echo dray-wire ;;
    dray-store) echo dray-model ;;
    dray-store-etcd) echo dray-store ;;
    dray-rest) echo dray-wire ;;
    dray-control) echo dray-model dray-process dray-wire dray-machine dray-store dray-store-etcd dray-rest ;;
    dray) echo dray-model dray-connect dray-kafka dray-runtime dray-agent dray-devbroker dray-session dray-machine dray-control \
      dray-store dray-wire dray-process ;;
    *) return 1 ;;
  esac
}
# Who may name rdkafka, and who may do so in [dev-dependencies].
rdkafka_normal=' dray-kafka '
rdkafka_dev=' dray-kafka dray-devbroker dray-agent dray dray-e2e '
# Who may name etcd-client, in any kind of dependency.
etcd=' dray-store-etcd '

allowed() { # name, patterns...
  local name=$1 pattern; shift
  for pattern in "$@"; do
    # shellcheck disable=SC2254 # a pattern is meant
    case $name in $pattern) return 0 ;; esac
  done
  return 1
}

# "crate folder dependency folder" a line, one line for each arrow, and one without dependency for each crate of the workspace. Outer
# crates have no folder.
arrows() { # edges
  cargo tree --workspace --all-features --locked --no-dedupe --depth 1 --prefix depth --edges "$1" --format '|{p}' |
    awk -F'|' -v root="$PWD/" '
      function name(p) { sub(/ .*/, "", p); return p }
      function folder(p) { if (!match(p, /\(\/[^)]*\)/)) return "-"; p = substr(p, RSTART + 1, RLENGTH - 2)
        if (index(p, root) == 1) p = substr(p, length(root) + 1); return p }
      $1 == "0" { crate = name($2); at = folder($2); print crate, at; next }
      $1 == "1" { print crate, at, name($2), folder($2) }'
}

# Into variables first: a cargo that fails must fail the check, and inside <(...) it would not.
normal=$(arrows normal,build); dev=$(arrows dev)
[ -n "$normal" ] || { echo "arrows: cargo tree printed nothing" >&2; exit 1; }

planes() { # crate, its folder, dependency, its folder: what holds for every kind of dependency
  case $2/:$4/ in
    proto/*:control-plane/* | proto/*:data-plane/* | proto/*:cli/*) breach "$1 is in proto/ and names $3 of $4: proto/ depends on neither plane" ;;
    control-plane/*:data-plane/* | data-plane/*:control-plane/*) breach "$1 ($2) names $3 ($4): the planes meet in proto/ only" ;;
  esac
}
set -f # the table's patterns are not file names
while read -r crate at dependency there; do
  if [ -z "$dependency" ]; then
    may_name "$crate" >/dev/null || breach "$crate ($at) has no line in the table of deploy/lint/arrows.sh"
    continue
  fi
  planes "$crate" "$at" "$dependency" "$there"
  case $dependency in
    rdkafka | rdkafka-sys) [[ $rdkafka_normal == *" $crate "* ]] || breach "$crate names $dependency: only dray-kafka may" ;;
    etcd-client) [[ $etcd == *" $crate "* ]] || breach "$crate names $dependency: only dray-store-etcd may" ;;
    dray | dray-*)
      # shellcheck disable=SC2046 # the words are wanted
      allowed "$dependency" $(may_name "$crate" || true) || breach "$crate names $dependency: not an arrow of ours" ;;
  esac
done <<<"$normal"
while read -r crate at dependency there; do
  [ -n "$dependency" ] || continue
  planes "$crate" "$at" "$dependency" "$there"
  case $dependency in
    rdkafka | rdkafka-sys) [[ $rdkafka_dev == *" $crate "* ]] || breach "$crate names $dependency in its dev-dependencies" ;;
    etcd-client) [[ $etcd == *" $crate "* ]] || breach "$crate names $dependency in its dev-dependencies: only dray-store-etcd may" ;;
  esac
done <<<"$dev"
set +f

# The machines are pure: std, the model and a hasher. What waits, listens, stores or reads a clock may not reach them by any way either.
for machine in dray-machine dray-session; do
  reached=$(cargo tree -p "$machine" --all-features --locked --edges normal,build --prefix depth --format '|{p}' | sed 's/ .*//')
  while IFS='|' read -r depth dependency; do
    case $depth:$dependency in
      0:* | *:dray-model | *:rustc-hash) ;;
      1:*) breach "$machine names $dependency: it may name dray-model and rustc-hash only" ;;
      *:tokio* | *:tonic* | *:rdkafka* | *:etcd-client | *:mio | *:rustix | *:libc) breach "$machine reaches $dependency: it is pure" ;;
    esac
  done <<<"$reached"
done

# Our files: what git knows or would take, without lock files (cargo writes a registry's address into them).
files() { # the end of their names
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard
  else
    find . \( -name .git -o -name target -o -name .rig \) -prune -o -type f -print0
  fi | grep -zv '\(^\|/\)Cargo\.lock$' | grep -z -- "$1\$"
}
forbid() { # what it is, the end of the files' names, extended regular expression
  local found; found=$(files "$2" | xargs -0 -r grep -nIEs -e "$3" /dev/null | cut -c1-200 || true)
  [ -z "$found" ] || while IFS= read -r line; do breach "$1: $line"; done <<<"$found"
}
# The brackets keep the patterns from finding themselves.
forbid 'a path of one machine' '' '(^|[^[:alnum:]_.~}-])/(wor[k]|roo[t]|hom[e]|User[s])/|[.][.]/share[d]'
forbid "a registry's host" '' '(^|[^[:alnum:]-])(crates[.]io|repo1?[.](maven|apache)[.]|pypi[.]org|pythonhosted[.]org|npmjs[.](org|com)|proxy[.]golang[.]org|(deb|security)[.]debian[.]org)|repo[.]maven[.]apache|https?://[^/ ]*(artifactory|nexus|mirror)'
forbid 'unfinished code' '[.]rs' '(^|[^[:alnum:]_])(todo|unimplemented)!'
forbid 'something impure in a machine' '\(control-plane/machine\|data-plane/session\)/src/.*[.]rs' 'std::(time|thread|net|fs|env|process|io)|std::collections::(hash|[{]?.*Hash(Map|Set))|RandomState'
# Records and headers of answers have times, and nothing else needs to know what time it is: it jumps.
forbid 'the wall clock, where ownership is decided' \
  '\(control-plane/\(machine\|server\|store[^/]*\)/src\|data-plane/\(session\|agent\)/src\|data-plane/runtime/src/\(gate\|expel\|rejoin\|supervise\|ledger\)\|data-plane/kafka/src/\(session\|rd/\(fence\|groups\|member\|transactional\)\)\).*[.]rs' \
  'SystemTime|UNIX_EPOCH|jiff|chrono|OffsetDateTime|CLOCK_REALTIME'
forbid 'a test that does not run' '[.]rs' '#\[ *ignore *[]=]'

[ "$breaches" = 0 ] || { echo "arrows: $breaches breach(es)" >&2; exit 1; }
