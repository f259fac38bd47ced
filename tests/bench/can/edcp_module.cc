#include "tests/bench/can/edcp_module.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "drivers/iseg/registers.h"

namespace canhub::bench {
namespace {

using iseg::AccessClass;
using iseg::WireType;
namespace id = iseg::id;

// No sum error, no ramp, safety loop, module, supply, temperature good, fine adjustment.
constexpr uint32_t kGoodStatus = 0x7701;
constexpr int kGroupMembers = 9;
constexpr char kArticle[] = "TS480020p1040000200";
constexpr char kSampleRates[] = "5,10,25,50,60,100,500";
constexpr int kPieceLength = 5;

std::vector<uint8_t> BigEndian(uint64_t value, int bytes) {
  std::vector<uint8_t> out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  return out;
}

std::vector<uint8_t> Number(float value) { return BigEndian(std::bit_cast<uint32_t>(value), 4); }

float NumberOf(uint16_t data_id) {
  switch (data_id) {
    case id::kVoltageNominal:
      return 2000;
    case id::kCurrentNominal:
    case id::kCurrentSet:
      return 1e-4F;
    case id::kModuleVoltageLimit:
    case id::kModuleCurrentLimit:
    case id::kVoltageRampMax:
      return 100;
    case id::kModuleVoltageRamp:
    case id::kVoltageRampUp:
    case id::kVoltageRampDown:
      return 10;
    case id::kTemperature:
      return 26.3F;
    case id::kTemperatureTrip:
      return 55;
    case id::kSupply24:
      return 24.1F;
    case id::kSupply5:
      return 5;
    default:
      return 0;
  }
}

uint32_t IntegerOf(uint16_t data_id, int channels) {
  switch (data_id) {
    case id::kModuleStatus:
    case id::kWideModuleStatus:
      return kGoodStatus;
    case id::kModuleControl:
      return iseg::Bit(iseg::control_bit::kBigEndian) |
             iseg::Bit(iseg::control_bit::kFineAdjustment);
    case id::kSerialNumber:
      return 5710048;
    case id::kBitRate:
      return 125;
    case id::kChannelNumber:
      return static_cast<uint32_t>(channels);
    case id::kSampleRate:
      return 50;
    case id::kDigitalFilter:
      return 64;
    case id::kOutputMode:
    case id::kOutputPolarity:
      return 1;
    default:
      return 0;
  }
}

}  // namespace

EdcpModule::EdcpModule(int address, int channels)
    : write_id_(iseg::WriteId({.number = address})), channels_(channels) {}

can_frame EdcpModule::Frame(uint16_t data_id, int index, const std::vector<uint8_t>& value) const {
  can_frame frame{};
  frame.can_id = write_id_;
  frame.data[0] = static_cast<uint8_t>(data_id >> 8);
  frame.data[1] = static_cast<uint8_t>(data_id);
  uint8_t length = 2;
  if (index >= 0) frame.data[length++] = static_cast<uint8_t>(index);
  for (const uint8_t byte : value) {
    if (length < CAN_MAX_DLEN) frame.data[length++] = byte;
  }
  frame.can_dlc = length;
  return frame;
}

can_frame EdcpModule::NextMeasurement() {
  const uint32_t number = sequence_++ % kSequence;
  return Frame(id::kVoltageMeasure | iseg::kMultipleBit,
               static_cast<int>(number % static_cast<uint32_t>(channels_)),
               Number(static_cast<float>(number)));
}

int EdcpModule::SequenceOf(const can_frame& frame) {
  const uint16_t data_id = static_cast<uint16_t>(frame.data[0] << 8 | frame.data[1]);
  if (frame.can_dlc != 7 || (data_id & iseg::kMultipleMask) != id::kVoltageMeasure) return -1;
  uint32_t bits = 0;
  for (int i = 3; i < 7; ++i) bits = bits << 8 | frame.data[i];
  return static_cast<int>(std::bit_cast<float>(bits));
}

std::vector<uint8_t> EdcpModule::ValueOf(uint16_t data_id, int channel) {
  if (const auto it = written_.find({data_id, channel}); it != written_.end()) return it->second;
  const iseg::Register* row = iseg::FindRegister(data_id);
  if (row == nullptr || row->access == iseg::RegisterAccess::kWrite) return {};
  switch (row->type) {
    case WireType::kR4:
    case WireType::kIndexedR4:
      if (data_id == id::kVoltageMeasure) {
        return Number(static_cast<float>(sequence_++ % kSequence));
      }
      return Number(NumberOf(data_id));
    case WireType::kR4Range: {
      std::vector<uint8_t> value = Number(0);
      value.push_back(0);
      return value;
    }
    case WireType::kName5:
      return {'T', '4', '8', 'C', '0'};
    case WireType::kRelease:
      return {0, 5, 7, 1};
    case WireType::kUi1:
    case WireType::kSi1:
      return BigEndian(IntegerOf(data_id, channels_), 1);
    case WireType::kUi2:
      return BigEndian(IntegerOf(data_id, channels_), 2);
    case WireType::kUi4:
    case WireType::kUiAny:
      return BigEndian(IntegerOf(data_id, channels_), 4);
    case WireType::kText6:
    case WireType::kTextPiece:
    case WireType::kKey6:
      break;
  }
  return {};
}

void EdcpModule::AnswerIndexed(uint16_t data_id, int index, std::vector<can_frame>* answers) {
  const bool multiple = iseg::ClassOf(data_id) == AccessClass::kMultiple;
  const uint16_t own = multiple ? data_id & iseg::kMultipleMask : data_id;
  answers->push_back(Frame(data_id, index, ValueOf(own, index)));
}

void EdcpModule::AnswerText(uint16_t data_id, const char* text, std::vector<can_frame>* answers) {
  const size_t length = std::strlen(text);
  for (size_t piece = 0; piece * kPieceLength <= length; ++piece) {
    const char* from = text + piece * kPieceLength;
    const size_t count = std::min<size_t>(kPieceLength, length - piece * kPieceLength);
    answers->push_back(
        Frame(data_id, static_cast<int>(piece), std::vector<uint8_t>(from, from + count)));
  }
}

bool EdcpModule::OnFrame(const can_frame& request, std::vector<can_frame>* answers) {
  if (request.can_dlc < 2 || (request.data[0] & 0x80) != 0) return false;  // DCP: log-on, log-off
  const uint16_t data_id = static_cast<uint16_t>(request.data[0] << 8 | request.data[1]);
  const std::optional<AccessClass> access = iseg::ClassOf(data_id);
  if (!access) return false;
  if (request.can_id == write_id_) {
    const bool of_channel = *access == AccessClass::kChannel;
    const int header = of_channel ? 3 : 2;
    if (request.can_dlc <= header) return false;
    written_[{data_id, of_channel ? request.data[2] : -1}] =
        std::vector<uint8_t>(request.data + header, request.data + request.can_dlc);
    return false;
  }
  switch (*access) {
    case AccessClass::kModule:
      if (data_id == id::kArticle) {
        AnswerText(data_id, kArticle, answers);
      } else if (data_id == id::kSampleRateList) {
        AnswerText(data_id, kSampleRates, answers);
      } else {
        AnswerIndexed(data_id, -1, answers);
      }
      return true;
    case AccessClass::kGroup: {
      const iseg::Register* row = iseg::FindRegister(data_id);
      if (row == nullptr || row->type != WireType::kIndexedR4) {
        AnswerIndexed(data_id, -1, answers);
        return true;
      }
      for (int i = 0; i < kGroupMembers; ++i) AnswerIndexed(data_id, i, answers);
      return true;
    }
    case AccessClass::kChannel:
      if (request.can_dlc == 3) AnswerIndexed(data_id, request.data[2], answers);
      return true;
    case AccessClass::kMultiple: {
      if (request.can_dlc != 5) return true;
      const int mask = request.data[2] << 8 | request.data[3];
      const int offset = request.data[4];
      for (int i = 0; i < (mask == 0 ? channels_ : 16); ++i) {
        const int channel = offset + i;
        if ((mask == 0 || (mask >> i & 1) != 0) && channel < channels_) {
          AnswerIndexed(data_id, channel, answers);
        }
      }
      return true;
    }
  }
  return false;
}

}  // namespace canhub::bench
