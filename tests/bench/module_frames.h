// Frames of 15 battery modules that are well, their cells at 3.94 V (battery safety facts, sections
// 4.2, 4.3 and 12.4).
#pragma once

#include <linux/can.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

namespace canhub::bench {

inline constexpr uint32_t kModules = 15;

struct ModulePdo {
  uint32_t base;  // the identifier of module n is base + n
  std::array<uint8_t, 8> data;
};
inline constexpr ModulePdo kPdos[] = {{0x180, {0x00, 0x00, 0x78, 0x12, 0xAE, 0xAE, 0x14, 0x16}},
                                      {0x280, {0x43, 0x00, 0x64, 0x64, 0x00, 0x00, 0x00, 0x00}},
                                      {0x380, {0xAE, 0xAE, 0xAE, 0xAE, 0xAE, 0xAE, 0xAE, 0xAE}},
                                      {0x480, {0xAE, 0xAE, 0xAE, 0xAE, 0x00, 0x00, 0x00, 0x00}},
                                      {0x190, {0xF2, 0x01, 0x00, 0x00, 0xA3, 0xC1, 0x05, 0x00}},
                                      {0x290, {0x15, 0x14, 0x14, 0x15, 0x14, 0x16, 0x15, 0x00}}};
inline constexpr size_t kCells1To8 = 2;  // of kPdos

// `module` from 1.
inline can_frame ModuleFrame(uint32_t module, size_t pdo) {
  can_frame frame{};
  frame.can_id = kPdos[pdo].base + module;
  frame.can_dlc = 8;
  std::copy(kPdos[pdo].data.begin(), kPdos[pdo].data.end(), frame.data);
  return frame;
}

// All frames of module 1, then of module 2, …, and again.
inline can_frame ModuleFrameInTurn(uint64_t turn) {
  const uint64_t at = turn % (kModules * std::size(kPdos));
  return ModuleFrame(1 + static_cast<uint32_t>(at / std::size(kPdos)), at % std::size(kPdos));
}

}  // namespace canhub::bench
