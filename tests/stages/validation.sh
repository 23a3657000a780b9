#!/bin/bash
# The tests of GPU memory and its channels under Vulkan's validation layer, which ends a process at its first message,
# children too; and a call that it must find.
#
#   tests/stages/validation.sh     prints each result, last a line `N passed, N failed, N skipped`
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/lava-tests/validation
layers=/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json
passed=0 failed=0

result() {
    if [ "$2" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1 ... $2"
}

skip() {
    echo "skipped: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

[ -e "$layers" ] || skip "no validation layer (Debian: vulkan-validationlayers)"
mkdir -p "$work"
cc -std=c11 -o "$work/control" tests/stages/validation/control.c -lvulkan 2>"$work/control.log" ||
    skip "no Vulkan headers (Debian: libvulkan-dev)"
"$work/control" 2>>"$work/control.log" || skip "no Vulkan device: $(tail -1 "$work/control.log")"

# Left out: the layer takes a signal by the host that has happened for one that is pending; and on a
# machine with few processors its own thread may be late with what has ended, of which it says itself that it is most
# likely a fault of its own.
cat >"$work/vk_layer_settings.txt" <<SETTINGS
khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG,VK_DBG_LAYER_ACTION_BREAK
khronos_validation.report_flags = error,warn
khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
khronos_validation.message_id_filter = VUID-VkSemaphoreSignalInfo-value-03259,UNASSIGNED-VkSemaphore-state-timeout,UNASSIGNED-VkFence-state-timeout,UNASSIGNED-VkQueue-state-timeout
SETTINGS
export VK_LAYER_SETTINGS_PATH=$work VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation

# clean NAME COMMAND...: must end well, and must have run something.
clean() {
    local name=$1 log=$work/$1.log
    shift
    if timeout 600 "$@" >"$log" 2>&1 && grep -qE '^test result: ok\. [1-9]' "$log"; then
        result "$name" ok
    else
        result "$name" FAILED
        grep -E 'VUID|panicked at|FAILED|^test result' "$log" | cut -c1-400 | head -20
        tail -20 "$log" | cut -c1-200
    fi
}

# In a shell of its own, which would otherwise tell of the control's death.
if bash -c '"$0" && true' "$work/control" >"$work/control.log" 2>&1; then
    result the-layer-finds-a-fault "FAILED: it found nothing"
else
    result the-layer-finds-a-fault ok
fi
clean memory cargo test -q -p lava-sys --lib memory:: -- --nocapture
clean pools cargo test -q -p lava-sys --lib device_pool -- --nocapture
clean buffers cargo test -q -p lava --features tokio --test integration devices:: -- --nocapture
clean channels cargo test -q -p lava --features tokio --test integration gpu_channels:: -- --nocapture

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
