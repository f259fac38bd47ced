#include "drivers/battery-module/codec.h"

#include <array>

namespace canhub::battery_module {
namespace {

constexpr uint32_t kSyncId = 0x080;
constexpr uint32_t kRequestId = 0x600;

}  // namespace

CanFrame SyncFrame() { return MakeFrame(kSyncId, {0xFF}); }

CanFrame SensorRequestFrame(int module) {
  return MakeFrame(kRequestId + static_cast<uint32_t>(module),
                   {0x2F, 0x05, 0x18, 0x01, 0x00, 0x00, 0x00, 0x00});
}

uint8_t Crc8(std::span<const uint8_t> data) {
  uint8_t crc = 0xFF;
  for (const uint8_t byte : data) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = static_cast<uint8_t>((crc & 0x80) != 0 ? crc << 1 ^ 0x1D : crc << 1);
    }
  }
  return crc ^ 0xFF;
}

uint8_t AlarmCrc(int module, std::span<const uint8_t> data) {
  std::array<uint8_t, 8> guarded = {static_cast<uint8_t>(module)};
  for (size_t i = 0; i < 7; ++i) guarded[i + 1] = data[i];
  return Crc8(guarded);
}

Level LevelOfFault(int64_t code) {
  if (code == 0) return Level::kNormal;
  if ((code >= 100 && code <= 106) || (code >= 300 && code <= 499)) return Level::kDangerous;
  return Level::kWarning;
}

}  // namespace canhub::battery_module
