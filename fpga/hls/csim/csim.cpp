// The host's way in: a register file and a memory in, the kernel's work done. One object file for
// each configuration (RINGLOOM_ID is its part of the names); the build renames the namespace
// (`-Dringloom=..`).
#include <cstdlib>

#include "../kernels/eltwise.cpp"
#include "../kernels/gadget.cpp"
#include "../kernels/ntt.cpp"

#define RINGLOOM_JOIN(id, name) ringloom_csim_##id##_##name
#define RINGLOOM_NAME(id, name) RINGLOOM_JOIN(id, name)
#define RINGLOOM_SYMBOL(name) RINGLOOM_NAME(RINGLOOM_ID, name)

namespace {

std::uint64_t wide(const std::uint32_t* registers, unsigned offset) {
    return registers[offset / 4] | std::uint64_t{registers[offset / 4 + 1]} << 32;
}

}  // namespace

static_assert(sizeof(ringloom::beat) == 64, "a beat is 512 bits");

extern "C" {

// The on-chip memories, zero; null without memory.
void* RINGLOOM_SYMBOL(new)() { return std::calloc(1, sizeof(ringloom::OnChip)); }

void RINGLOOM_SYMBOL(delete)(void* chip) { std::free(chip); }

// Runs kernel 0 (ntt), 1 (eltwise) or 2 (gadget) if bit 0 of the control register is set.
void RINGLOOM_SYMBOL(run)(void* chip_pointer, std::uint32_t kernel, std::uint32_t* registers,
                          std::uint64_t* memory) {
    using namespace ringloom;
    std::uint32_t& control = registers[REG_CONTROL / 4];
    if (!(control & CONTROL_START)) return;
    OnChip& chip = *static_cast<OnChip*>(chip_pointer);
    beat* beats = reinterpret_cast<beat*>(memory);
    const Registers r{wide(registers, REG_JOBS), registers[REG_JOB_COUNT / 4],
                      registers[REG_LOG_N / 4], registers[REG_TABLE_LOG_N / 4],
                      registers[REG_FLAGS / 4]};
    switch (kernel) {
        case 0: ntt(chip, beats, beats, r); break;
        case 1: eltwise(chip, beats, beats, r); break;
        case 2: gadget(chip, beats, beats, r); break;
    }
    control = CONTROL_DONE | CONTROL_IDLE;
}

}  // extern "C"
