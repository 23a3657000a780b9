#!/bin/bash
# Model checks of the lock-free parts, and seeded faults that each must find. See tests/loom/src/main.rs.
#
#   tests/stages/loom.sh           prints each result, last a line `N passed, N failed, N skipped`
#   LAVA_SOAK=1                    accepted; the models are exhaustive within their bounds in any case
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/lava-tests/loom
copy=$target/copy
export RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$target RUST_BACKTRACE=0
passed=0 failed=0
mkdir -p "$target"

# Builds the models of the tree below $1 and runs those whose names contain $2, if given.
models() {
    cargo build --quiet --release --manifest-path "$1/tests/loom/Cargo.toml" || return 2
    timeout 300 "$target/release/lava-loom" "${@:2}"
}

fresh_copy() {
    rm -rf "$copy"
    mkdir -p "$copy/lava-sys" "$copy/tests"
    cp -r lava-sys/src "$copy/lava-sys/src"
    cp -r tests/loom "$copy/tests/loom"
}

# Replaces the text $2, which must occur once in file $1, by $3.
replace() {
    FILE=$1 OLD=$2 NEW=$3 perl -0777 -e '
        open my $in, "<", $ENV{FILE} or die "$ENV{FILE}: $!"; my $text = <$in>; close $in;
        my $count = () = $text =~ /\Q$ENV{OLD}\E/g;
        die "the text to replace occurs $count times, not once\n" unless $count == 1;
        $text =~ s/\Q$ENV{OLD}\E/$ENV{NEW}/;
        open my $out, ">", $ENV{FILE} or die "$ENV{FILE}: $!"; print $out $text; close $out'
}

# Seeds one fault, and expects that a model finds it.
mutant() {
    local name=$1 file=$2 wanted=$3 old=$4 new=$5 log=$target/mutant.log status
    fresh_copy
    if ! replace "$copy/lava-sys/src/$file" "$old" "$new"; then
        echo "mutant '$name' ... FAILED: tests/loom/mutants.txt does not fit $file any more"
        failed=$((failed + 1))
        return
    fi
    models "$copy" "$wanted" >"$log" 2>&1
    status=$?
    if [ "$status" -eq 1 ] && grep -q '^model .* FAILED' "$log"; then
        echo "mutant '$name' ... found"
        passed=$((passed + 1))
    else
        echo "mutant '$name' ... FAILED: not found (exit status $status); the end of its log:"
        tail -15 "$log"
        failed=$((failed + 1))
    fi
}

while read -r line; do
    echo "$line"
    case $line in
        model*" ok "*) passed=$((passed + 1)) ;;
        model*FAILED*) failed=$((failed + 1)) ;;
    esac
done < <(models . 2>&1)
[ $((passed + failed)) -gt 0 ] || { echo "the models did not build or run"; failed=1; }

# A fault in the models themselves would make every mutant "found".
if [ "$failed" -eq 0 ]; then
    name='' old='' new=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            'mutant '*) name=${line#mutant } old='' new='' ;;
            'file '*) file=${line#file } ;;
            'models '*) wanted=${line#models } ;;
            -*) old+=${old:+$'\n'}${line#-} ;;
            +*) new+=${new:+$'\n'}${line#+} ;;
            '') [ -z "$name" ] || mutant "$name" "$file" "$wanted" "$old" "$new"; name='' ;;
        esac
    done < <(cat tests/loom/mutants.txt; echo)
fi
rm -rf "$copy"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
