# shellcheck shell=bash
# What build-test-guest and build-debian-guest share: messages, the cache and its
# lock, Debian packages, partitions. Sourced, never run; the script sets $cache_root first.

export LC_ALL=C
umask 022

note() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need_tools TOOL...: all of them, or one error that names the missing ones.
need_tools() {
    local tool missing=()
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} -eq 0 ] || die "missing on this machine: ${missing[*]}; install with: scripts/setup test"
}

# --- Cache -----------------------------------------------------------------

# open_cache NAME: one build of NAME at a time in this cache; sets $cache (NAME's folder) and
# $work (removed at exit, on the cache's file system so that results can be renamed into place).
open_cache() {
    # shellcheck disable=SC2154
    cache=$cache_root/$1
    mkdir -p "$cache" || die "cannot make the cache folder $cache; choose another with --cache DIR"
    exec 9>"$cache/lock"
    if ! flock --nonblock 9; then
        note "waiting for another build that holds $cache/lock"
        flock 9
    fi
    # Work folders that a killed build left; the lock says that nobody uses them.
    rm -rf "$cache"/work.*
    work=$(mktemp -d "$cache/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# cache_key FILE...: a name for what these files and standard input make.
cache_key() {
    { cat; sha256sum "$@" | cut -c-64; } | sha256sum | cut -c-16
}

# publish NAME OUTDIR KEY: $cache/KEY.{qcow2,manifest} as OUTDIR/NAME.{qcow2,manifest}. An image
# that is there already, and untouched since, stays.
publish() {
    local name=$1 out=$2 key=$3
    mkdir -p "$out" || die "cannot make the output folder $out"
    if [ -f "$out/$name.qcow2" ] && ! [ "$out/$name.qcow2" -nt "$out/$name.manifest" ] &&
        cmp -s "$cache/$key.manifest" "$out/$name.manifest"; then
        return
    fi
    # Without a manifest until the image is whole; and no remains of a copy that was killed.
    rm -f "$out/$name.manifest" "$out/.$name."*
    if ! cp --reflink=auto "$cache/$key.qcow2" "$out/.$name.qcow2.$$"; then
        rm -f "$out/.$name.qcow2.$$"
        die "cannot write $out/$name.qcow2"
    fi
    mv "$out/.$name.qcow2.$$" "$out/$name.qcow2"
    cp "$cache/$key.manifest" "$out/.$name.manifest.$$"
    mv "$out/.$name.manifest.$$" "$out/$name.manifest"
}

# keep KEY: the finished $work/image.qcow2 and $work/manifest into the cache, the image last because
# it is what marks the build as done; older builds go, except the newest of them.
keep() {
    mv "$work/manifest" "$cache/$1.manifest"
    mv "$work/image.qcow2" "$cache/$1.qcow2"
    local old
    # shellcheck disable=SC2012 # names are keys: hexadecimal digits
    ls -t "$cache"/*.qcow2 | tail -n +3 | while read -r old; do
        rm -f "$old" "${old%.qcow2}.manifest"
    done
}

# --- Debian packages -------------------------------------------------------

# The machine's package lists are used when they know every package; else, or when they are older,
# lists of our own. Nothing here changes the machine's packages or needs root.
apt_options() {
    apt_opts=(-o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1)
    own_lists=$cache_root/apt
    if [ -f "$own_lists/updated" ] && [ "$own_lists/updated" -nt /var/lib/apt/lists ]; then
        apt_opts+=("${own_apt_opts[@]}")
    fi
}
own_apt_opts=()

refresh_lists() {
    note "fetching package lists"
    mkdir -p "$own_lists/lists/partial" "$own_lists/cache"
    own_apt_opts=(-o Dir::State::Lists="$own_lists/lists" -o Dir::Cache="$own_lists/cache")
    (
        flock 8
        apt-get "${apt_opts[@]}" "${own_apt_opts[@]}" -qq update >&2
    ) 8>"$own_lists/lock" || die "cannot fetch Debian's package lists: check the network and /etc/apt/sources.list"
    touch "$own_lists/updated"
    apt_options
}

# resolve_packages PACKAGE...: prints "package version" lines, sorted; a meta package that depends on exactly one
# versioned kernel image stands for that image.
resolve_packages() {
    apt-cache "${apt_opts[@]}" show --no-all-versions "$@" 2>/dev/null | awk '
        /^Package: / { package = $2 }
        /^Version: / { version = $2 }
        /^Depends: linux-image-[^ ]+ \(= / { package = $2; version = $4; sub(/\).*/, "", version) }
        /^$/ { if (package != "") print package, version; package = "" }
        END { if (package != "") print package, version }' | sort -u
}

# select_packages PACKAGE...: sets $packages, the lines of resolve_packages.
select_packages() {
    own_lists=$cache_root/apt
    own_apt_opts=(-o Dir::State::Lists="$own_lists/lists" -o Dir::Cache="$own_lists/cache")
    apt_options
    packages=$(resolve_packages "$@")
    if [ "$(wc -l <<<"$packages")" -ne $# ]; then
        refresh_lists
        packages=$(resolve_packages "$@")
    fi
    [ "$(wc -l <<<"$packages")" -eq $# ] ||
        die "apt knows only these of the packages $*: ${packages//$'\n'/, }; check /etc/apt/sources.list (Debian 12, main)"
}

# deb_file PACKAGE VERSION: the name that apt gives the file, as a pattern.
deb_file() {
    printf '%s_%s_*.deb' "$1" "${2//:/%3a}"
}

# fetch_packages: every line of $packages into $cache/debs; apt checks signatures and hashes. False when one is
# missing, as when the lists are older than the mirror.
fetch_packages() {
    local package version wanted=() keep_these=()
    mkdir -p "$cache/debs" "$work/debs"
    while read -r package version; do
        keep_these+=("$(deb_file "$package" "$version")")
        compgen -G "$cache/debs/${keep_these[-1]}" >/dev/null || wanted+=("$package=$version")
    done <<<"$packages"
    if [ ${#wanted[@]} -gt 0 ]; then
        note "downloading ${#wanted[@]} Debian packages"
        (cd "$work/debs" && apt-get "${apt_opts[@]}" -qq download "${wanted[@]}" >&2) || return 1
        mv "$work"/debs/*.deb "$cache/debs/"
    fi
    local deb pattern
    for deb in "$cache"/debs/*.deb; do
        for pattern in "${keep_these[@]}"; do
            # shellcheck disable=SC2053 # a pattern on purpose
            [[ ${deb##*/} == $pattern ]] && continue 2
        done
        rm -f "$deb"
    done
}

# unpack_packages DIR: all packages of $cache/debs into one tree, without installing anything.
unpack_packages() {
    local deb
    mkdir -p "$1"
    for deb in "$cache"/debs/*.deb; do
        dpkg -x "$deb" "$1" || { rm -f "$deb"; die "damaged package $deb, now removed; run again"; }
    done
}

# --- Disks -----------------------------------------------------------------

# FAT file systems are written by mtools, which would ask about suspicious geometry.
export MTOOLS_SKIP_CHECK=1

# put_partition IMAGE FILE MIB: FILE's bytes at MIB mebibytes into IMAGE; holes stay holes.
put_partition() {
    dd if="$2" of="$1" bs=1M seek="$3" conv=notrunc,sparse status=none
}

# little_endian BYTES NUMBER
little_endian() {
    local i value=$2
    for ((i = 0; i < $1; i++)); do
        # shellcheck disable=SC2059 # the escape is the point
        printf "\\x$(printf '%02x' $((value & 255)))"
        value=$((value >> 8))
    done
}
