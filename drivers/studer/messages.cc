#include "drivers/studer/messages.h"

#include <array>
#include <string>

namespace canhub::studer {
namespace {

// Section 8.1: raised by the first, cleared by the second.
struct Pair {
  uint16_t raised, cleared;
};
constexpr std::array kPairs = {
    Pair{202, 203},  // battery alarm
    Pair{204, 205},  // battery stop
    Pair{225, 226},  // communication with the lithium battery
    Pair{230, 231},  // battery notification
    Pair{207, 208},  // AUX1
    Pair{209, 210},  // AUX2
};

AlarmSeverity SeverityOf(const Message* message) {
  // A message nobody knows may be anything.
  if (message == nullptr) return AlarmSeverity::kWarning;
  switch (message->message_class) {
    case MessageClass::kInfo:
      return AlarmSeverity::kInfo;
    case MessageClass::kWarning:
      return AlarmSeverity::kWarning;
    case MessageClass::kError:
    case MessageClass::kHalted:
      break;
  }
  return AlarmSeverity::kCritical;
}

std::string CodeOf(uint16_t number) { return kMessageAlarm + std::to_string(number); }

}  // namespace

bool Messages::TellsOfRestart(uint16_t number) {
  constexpr uint16_t kStartingUp = 10, kXtenderStarted = 177;
  return number == kStartingUp || number == kXtenderStarted;
}

void Messages::OnMessage(uint16_t number, uint32_t value, MonoTime time) {
  const Message* message = Catalogue::Get().FindMessage(number);
  std::string text = message == nullptr
                         ? std::string("unknown message")
                         : std::string(ToString(message->message_class)) + ": " + message->text;
  last_ = number;
  last_text_ = text;
  last_time_ = time;
  Publish();
  text += " (message " + std::to_string(number) +
          (value == 0 ? "" : ", value " + std::to_string(value)) + " of " +
          settings_.unit.ToString() + ")";
  context_.log.Log(LogLevel::kInfo, text);
  bool stays = false;
  for (const Pair& pair : kPairs) {
    stays |= number == pair.raised;
    if (number == pair.cleared) context_.alarms.Clear(CodeOf(pair.raised));
  }
  context_.alarms.Raise(CodeOf(number), SeverityOf(message), text);
  if (!stays) context_.alarms.Clear(CodeOf(number));
}

void Messages::Publish() {
  if (!last_) return;
  const Duration for_ever = kNever - last_time_;
  context_.state.Set(items_.Status(StatusItem::kLastMessage), Value::Integer(*last_), last_time_,
                     for_ever);
  context_.state.Set(items_.Status(StatusItem::kLastMessageText), Value::Text(last_text_),
                     last_time_, for_ever);
}

}  // namespace canhub::studer
