#include "daemon/bus/can_error_frame.h"

#include <linux/can.h>
#include <linux/can/error.h>

#include <array>

namespace canhub {
namespace {

// Linux 5.19: data[6] and data[7] hold the counters. Debian 12's header has it; older ones do not.
#ifdef CAN_ERR_CNT
constexpr uint32_t kErrorCounters = CAN_ERR_CNT;
#else
constexpr uint32_t kErrorCounters = 0x200;
#endif

struct Word {
  uint32_t bit;
  const char* text;
};

constexpr Word kControllerWords[] = {
    {CAN_ERR_CRTL_RX_OVERFLOW, "receive buffer overflow"},
    {CAN_ERR_CRTL_TX_OVERFLOW, "transmit buffer overflow"},
    {CAN_ERR_CRTL_RX_WARNING, "receive errors reached the warning level"},
    {CAN_ERR_CRTL_TX_WARNING, "transmit errors reached the warning level"},
    {CAN_ERR_CRTL_RX_PASSIVE, "error passive by receive errors"},
    {CAN_ERR_CRTL_TX_PASSIVE, "error passive by transmit errors"},
    {CAN_ERR_CRTL_ACTIVE, "error active again"},
};
constexpr Word kProtocolWords[] = {
    {CAN_ERR_PROT_BIT, "bit error"},
    {CAN_ERR_PROT_FORM, "form error"},
    {CAN_ERR_PROT_STUFF, "stuff error"},
    {CAN_ERR_PROT_BIT0, "dominant bit could not be sent"},
    {CAN_ERR_PROT_BIT1, "recessive bit could not be sent"},
    {CAN_ERR_PROT_OVERLOAD, "overload"},
    {CAN_ERR_PROT_ACTIVE, "active error announcement"},
    {CAN_ERR_PROT_TX, "while transmitting"},
};

const char* LocationText(uint8_t location) {
  switch (location) {
    case CAN_ERR_PROT_LOC_SOF:
      return "start of frame";
    case CAN_ERR_PROT_LOC_ID28_21:
    case CAN_ERR_PROT_LOC_ID20_18:
    case CAN_ERR_PROT_LOC_ID17_13:
    case CAN_ERR_PROT_LOC_ID12_05:
    case CAN_ERR_PROT_LOC_ID04_00:
      return "identifier";
    case CAN_ERR_PROT_LOC_SRTR:
    case CAN_ERR_PROT_LOC_RTR:
      return "RTR bit";
    case CAN_ERR_PROT_LOC_IDE:
      return "IDE bit";
    case CAN_ERR_PROT_LOC_RES1:
    case CAN_ERR_PROT_LOC_RES0:
      return "reserved bits";
    case CAN_ERR_PROT_LOC_DLC:
      return "length code";
    case CAN_ERR_PROT_LOC_DATA:
      return "data";
    case CAN_ERR_PROT_LOC_CRC_SEQ:
      return "CRC";
    case CAN_ERR_PROT_LOC_CRC_DEL:
      return "CRC delimiter";
    case CAN_ERR_PROT_LOC_ACK:
      return "acknowledge slot";
    case CAN_ERR_PROT_LOC_ACK_DEL:
      return "acknowledge delimiter";
    case CAN_ERR_PROT_LOC_EOF:
      return "end of frame";
    case CAN_ERR_PROT_LOC_INTERM:
      return "intermission";
    default:
      return nullptr;
  }
}

const char* TransceiverText(uint8_t code) {
  switch (code) {
    case CAN_ERR_TRX_CANH_NO_WIRE:
      return "CAN_H broken";
    case CAN_ERR_TRX_CANH_SHORT_TO_BAT:
      return "CAN_H shorted to battery";
    case CAN_ERR_TRX_CANH_SHORT_TO_VCC:
      return "CAN_H shorted to supply";
    case CAN_ERR_TRX_CANH_SHORT_TO_GND:
      return "CAN_H shorted to ground";
    case CAN_ERR_TRX_CANL_NO_WIRE:
      return "CAN_L broken";
    case CAN_ERR_TRX_CANL_SHORT_TO_BAT:
      return "CAN_L shorted to battery";
    case CAN_ERR_TRX_CANL_SHORT_TO_VCC:
      return "CAN_L shorted to supply";
    case CAN_ERR_TRX_CANL_SHORT_TO_GND:
      return "CAN_L shorted to ground";
    case CAN_ERR_TRX_CANL_SHORT_TO_CANH:
      return "CAN_L shorted to CAN_H";
    default:
      return nullptr;
  }
}

void Append(std::string* text, const std::string& part) {
  if (!text->empty()) *text += "; ";
  *text += part;
}

template <size_t kSize>
void AppendWords(std::string* text, const Word (&words)[kSize], uint32_t bits) {
  for (const Word& word : words) {
    if (bits & word.bit) Append(text, word.text);
  }
}

}  // namespace

ErrorFrame DecodeErrorFrame(uint32_t error_class, std::span<const uint8_t> data) {
  ErrorFrame error;
  std::string& text = error.text;
  const bool detailed = data.size() >= 8;
  std::array<uint8_t, 8> bytes{};
  if (detailed) std::copy_n(data.begin(), 8, bytes.begin());

  if (error_class & CAN_ERR_TX_TIMEOUT) {
    error.transmit_timeout = error.is_error = true;
    Append(&text, "transmit time-out of the interface");
  }
  if (error_class & CAN_ERR_LOSTARB) {
    // Losing arbitration is normal on a shared line.
    Append(&text, bytes[0] == CAN_ERR_LOSTARB_UNSPEC
                      ? std::string("arbitration lost")
                      : "arbitration lost in bit " + std::to_string(bytes[0]));
  }
  if (error_class & CAN_ERR_CRTL) {
    const uint8_t controller = bytes[1];
    if (controller == CAN_ERR_CRTL_UNSPEC) Append(&text, "controller problem");
    AppendWords(&text, kControllerWords, controller);
    if (controller & (CAN_ERR_CRTL_RX_OVERFLOW | CAN_ERR_CRTL_TX_OVERFLOW)) error.is_error = true;
    if (controller & (CAN_ERR_CRTL_RX_PASSIVE | CAN_ERR_CRTL_TX_PASSIVE)) {
      error.state = BusState::kPassive;
    } else if (controller & (CAN_ERR_CRTL_RX_WARNING | CAN_ERR_CRTL_TX_WARNING)) {
      error.state = BusState::kWarning;
    } else if (controller & CAN_ERR_CRTL_ACTIVE) {
      error.state = BusState::kActive;
    }
  }
  if (error_class & CAN_ERR_PROT) {
    error.is_error = true;
    if (bytes[2] == CAN_ERR_PROT_UNSPEC) Append(&text, "protocol violation");
    AppendWords(&text, kProtocolWords, bytes[2]);
    if (const char* location = LocationText(bytes[3])) text += std::string(" in ") + location;
  }
  if (error_class & CAN_ERR_TRX) {
    error.is_error = true;
    const char* transceiver = TransceiverText(bytes[4]);
    Append(&text, transceiver != nullptr ? transceiver : "transceiver problem");
  }
  if (error_class & CAN_ERR_ACK) {
    error.is_error = true;
    Append(&text, "nobody acknowledged (is another device on, and at the same bit rate?)");
  }
  if ((error_class & CAN_ERR_BUSERROR) && !(error_class & CAN_ERR_PROT)) {
    error.is_error = true;
    Append(&text, "bus error");
  }
  if (error_class & CAN_ERR_RESTARTED) {
    error.restarted = true;
    error.state = BusState::kActive;
    Append(&text, "controller restarted");
  }
  // Last: a frame that says bus-off and anything else means bus-off.
  if (error_class & CAN_ERR_BUSOFF) {
    error.is_error = true;
    error.state = BusState::kBusOff;
    Append(&text, "bus-off");
  }
  // Up to Linux 5.18 drivers wrote the counters without the flag, on changes of state.
  const bool counters = (error_class & kErrorCounters) != 0 ||
                        ((error_class & CAN_ERR_CRTL) != 0 && (bytes[6] != 0 || bytes[7] != 0));
  if (detailed && counters) {
    error.transmit_error_counter = bytes[6];
    error.receive_error_counter = bytes[7];
    Append(&text, "transmit errors " + std::to_string(bytes[6]) + ", receive errors " +
                      std::to_string(bytes[7]));
  }
  if (text.empty()) Append(&text, "error class " + std::to_string(error_class));
  return error;
}

}  // namespace canhub
