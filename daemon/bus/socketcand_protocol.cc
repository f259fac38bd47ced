#include "daemon/bus/socketcand_protocol.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <vector>

namespace canhub {
namespace {

using Type = SocketcandMessage::Type;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> words;
  size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && IsBlank(text[at])) ++at;
    size_t end = at;
    while (end < text.size() && !IsBlank(text[end])) ++end;
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

void AppendHex(uint8_t byte, std::string* text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  *text += kDigits[byte >> 4];
  *text += kDigits[byte & 0xF];
}

bool ReadHex(std::string_view text, uint32_t max, uint32_t* value) {
  if (text.empty() || text.size() > 8) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, 16);
  return error == std::errc() && end == text.data() + text.size() && *value <= max;
}

bool ReadIdentifier(std::string_view text, CanFrame* frame) {
  frame->extended = text.size() == 8;
  if (!frame->extended && text.size() > 3) return false;
  return ReadHex(text, frame->extended ? 0x1FFFFFFF : 0x7FF, &frame->id);
}

bool ReadTime(std::string_view text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return error == std::errc() && end == text.data() + text.size();
}

bool ReadLength(std::string_view text, uint8_t* dlc) {
  uint32_t length = 0;
  if (!ReadHex(text, 8, &length)) return false;
  *dlc = static_cast<uint8_t>(length);
  return true;
}

// Bytes as words ("1 F1"), as one piece ("01F1"), or both.
bool ReadData(std::span<const std::string_view> words, CanFrame* frame) {
  frame->dlc = 0;
  const auto add = [frame](std::string_view digits) {
    uint32_t byte = 0;
    if (frame->dlc == 8 || !ReadHex(digits, 0xFF, &byte)) return false;
    frame->data[frame->dlc++] = static_cast<uint8_t>(byte);
    return true;
  };
  for (std::string_view word : words) {
    if (word.size() <= 2) {
      if (!add(word)) return false;
      continue;
    }
    if (word.size() % 2 != 0) return false;
    for (size_t i = 0; i < word.size(); i += 2) {
      if (!add(word.substr(i, 2))) return false;
    }
  }
  return true;
}

std::string Identifier(const CanFrame& frame) {
  char text[16];
  std::snprintf(text, sizeof(text), frame.extended ? "%08X" : "%03X",
                static_cast<unsigned>(frame.id));
  return text;
}

std::string Seconds(WallTime time) {
  const auto micros =
      std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch()).count();
  char text[40];
  std::snprintf(text, sizeof(text), "%lld.%06lld", static_cast<long long>(micros / 1000000),
                static_cast<long long>(micros % 1000000));
  return text;
}

}  // namespace

std::optional<std::string> ElementParser::Next() {
  for (; position_ < buffer_.size(); ++position_) {
    const char c = buffer_[position_];
    if (c == '<') {
      // A new bracket inside an element: the end of the former was lost.
      if (inside_ && !overlong_) ++dropped_;
      inside_ = true;
      overlong_ = false;
      element_.clear();
    } else if (!inside_) {
      if (!IsBlank(c)) ++dropped_;
    } else if (c == '>') {
      inside_ = false;
      if (overlong_) continue;
      ++position_;
      const size_t first = element_.find_first_not_of(" \t\r\n");
      if (first == std::string::npos) return std::string();
      const size_t last = element_.find_last_not_of(" \t\r\n");
      return element_.substr(first, last - first + 1);
    } else if (!overlong_) {
      element_.push_back(c);
      if (element_.size() > kMaxElement) {
        overlong_ = true;
        element_.clear();
        ++dropped_;
      }
    }
  }
  buffer_.clear();
  position_ = 0;
  return std::nullopt;
}

SocketcandMessage ParseSocketcand(std::string_view text) {
  SocketcandMessage message;
  const std::vector<std::string_view> words = Split(text);
  if (words.empty()) return message;
  const std::string_view verb = words[0];
  const std::span<const std::string_view> rest = std::span(words).subspan(1);
  const auto typed = [&message](bool good, Type type) {
    message.type = good ? type : Type::kMalformed;
    if (!good) message.frame = {};
    return message;
  };
  if (verb == "hi") return typed(rest.empty(), Type::kHi);
  if (verb == "ok") return typed(rest.empty(), Type::kOk);
  if (verb == "echo") return typed(rest.empty(), Type::kEcho);
  if (verb == "rawmode") return typed(rest.empty(), Type::kRawMode);
  CanFrame& frame = message.frame;
  if (verb == "open") {
    if (rest.size() == 1) message.text = std::string(rest[0]);
    return typed(rest.size() == 1, Type::kOpen);
  }
  if (verb == "send") {
    uint8_t dlc = 0;
    const bool good = rest.size() >= 2 && ReadIdentifier(rest[0], &frame) &&
                      ReadLength(rest[1], &dlc) && ReadData(rest.subspan(2), &frame) &&
                      frame.dlc == dlc;
    return typed(good, Type::kSend);
  }
  if (verb == "sendrtr") {
    frame.remote = true;
    const bool good =
        rest.size() == 2 && ReadIdentifier(rest[0], &frame) && ReadLength(rest[1], &frame.dlc);
    return typed(good, Type::kSend);
  }
  if (verb == "frame") {
    const bool good = rest.size() >= 2 && ReadIdentifier(rest[0], &frame) && ReadTime(rest[1]) &&
                      ReadData(rest.subspan(2), &frame);
    return typed(good, Type::kFrame);
  }
  if (verb == "rtr") {
    frame.remote = true;
    const bool good = rest.size() == 3 && ReadIdentifier(rest[0], &frame) && ReadTime(rest[1]) &&
                      ReadLength(rest[2], &frame.dlc);
    return typed(good, Type::kFrame);
  }
  if (verb == "error") {
    // Digits and a time: an error frame. Anything else: words for a human.
    if (rest.size() == 2 && ReadTime(rest[1]) &&
        ReadHex(rest[0], 0x1FFFFFFF, &message.error_class)) {
      return typed(true, Type::kErrorFrame);
    }
    const size_t at = text.find("error") + 5;
    message.text = std::string(text.substr(std::min(text.size(), at + 1)));
    return typed(true, Type::kError);
  }
  return message;
}

std::string FormatSend(const CanFrame& frame) {
  std::string text = frame.remote ? "< sendrtr " : "< send ";
  text += Identifier(frame) + " " + std::to_string(frame.dlc) + " ";
  if (!frame.remote) {
    for (const uint8_t byte : frame.payload()) {
      AppendHex(byte, &text);
      text += ' ';
    }
  }
  return text + ">";
}

std::string FormatReceived(const CanFrame& frame, WallTime time) {
  if (frame.remote) {
    return "< rtr " + Identifier(frame) + " " + Seconds(time) + " " + std::to_string(frame.dlc) +
           " >";
  }
  std::string text = "< frame " + Identifier(frame) + " " + Seconds(time) + " ";
  for (const uint8_t byte : frame.payload()) AppendHex(byte, &text);
  return text + " >";
}

std::string FormatErrorFrame(uint32_t error_class, WallTime time) {
  char text[24];
  std::snprintf(text, sizeof(text), "< error %03X ", static_cast<unsigned>(error_class));
  return text + Seconds(time) + " >";
}

}  // namespace canhub
