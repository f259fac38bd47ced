#include "drivers/api/value.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace canhub {

std::string_view ToString(ValueType type) {
  switch (type) {
    case ValueType::kNone:
      return "none";
    case ValueType::kFlag:
      return "flag";
    case ValueType::kInteger:
      return "integer";
    case ValueType::kNumber:
      return "number";
    case ValueType::kText:
      return "text";
  }
  return "none";
}

struct Value::SharedText {
  explicit SharedText(std::string_view t) : text(t) {}
  std::atomic<int> references{1};
  const std::string text;
};

Value Value::Flag(bool v) {
  Value value;
  value.type_ = ValueType::kFlag;
  value.flag_ = v;
  return value;
}

Value Value::Integer(int64_t v) {
  Value value;
  value.type_ = ValueType::kInteger;
  value.integer_ = v;
  return value;
}

Value Value::Number(double v) {
  assert(std::isfinite(v));
  Value value;
  value.type_ = ValueType::kNumber;
  value.number_ = v;
  return value;
}

Value Value::Text(std::string_view v) {
  Value value;
  value.type_ = ValueType::kText;
  value.text_ = new SharedText(v);
  return value;
}

Value::Value(const Value& other) : type_(other.type_) {
  switch (type_) {
    case ValueType::kText:
      text_ = other.text_;
      text_->references.fetch_add(1, std::memory_order_relaxed);
      break;
    case ValueType::kFlag:
      flag_ = other.flag_;
      break;
    case ValueType::kNumber:
      number_ = other.number_;
      break;
    case ValueType::kInteger:
    case ValueType::kNone:
      integer_ = other.integer_;
      break;
  }
}

Value::Value(Value&& other) noexcept : Value() { *this = std::move(other); }

Value& Value::operator=(const Value& other) {
  if (this != &other) *this = Value(other);
  return *this;
}

Value& Value::operator=(Value&& other) noexcept {
  if (this == &other) return *this;
  Release();
  type_ = std::exchange(other.type_, ValueType::kNone);
  switch (type_) {
    case ValueType::kText:
      text_ = other.text_;
      break;
    case ValueType::kFlag:
      flag_ = other.flag_;
      break;
    case ValueType::kNumber:
      number_ = other.number_;
      break;
    case ValueType::kInteger:
    case ValueType::kNone:
      integer_ = other.integer_;
      break;
  }
  other.integer_ = 0;
  return *this;
}

Value::~Value() { Release(); }

void Value::Release() {
  if (type_ == ValueType::kText && text_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete text_;
  }
  type_ = ValueType::kNone;
}

bool Value::flag() const {
  assert(type_ == ValueType::kFlag);
  return flag_;
}

int64_t Value::integer() const {
  assert(type_ == ValueType::kInteger);
  return integer_;
}

double Value::number() const {
  assert(type_ == ValueType::kNumber);
  return number_;
}

const std::string& Value::text() const {
  assert(type_ == ValueType::kText);
  return text_->text;
}

double Value::AsNumber() const {
  switch (type_) {
    case ValueType::kFlag:
      return flag_ ? 1 : 0;
    case ValueType::kInteger:
      return static_cast<double>(integer_);
    case ValueType::kNumber:
      return number_;
    case ValueType::kText:
    case ValueType::kNone:
      break;
  }
  assert(false);
  return 0;
}

std::string Value::ToString() const {
  char buffer[64];
  switch (type_) {
    case ValueType::kNone:
      return "";
    case ValueType::kFlag:
      return flag_ ? "true" : "false";
    case ValueType::kInteger:
      return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, integer_).ptr);
    case ValueType::kNumber:
      return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, number_).ptr);
    case ValueType::kText:
      return text_->text;
  }
  return "";
}

bool operator==(const Value& a, const Value& b) {
  if (a.type_ != b.type_) return false;
  switch (a.type_) {
    case ValueType::kNone:
      return true;
    case ValueType::kFlag:
      return a.flag_ == b.flag_;
    case ValueType::kInteger:
      return a.integer_ == b.integer_;
    case ValueType::kNumber:
      return a.number_ == b.number_;
    case ValueType::kText:
      return a.text_ == b.text_ || a.text_->text == b.text_->text;
  }
  return false;
}

double ShortestDecimal(float f) {
  char buffer[32];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, f);
  double d = f;
  std::from_chars(buffer, written.ptr, d);
  constexpr double kLargest = std::numeric_limits<float>::max();
  return std::clamp(d, -kLargest, kLargest);  // that of the largest is a little beyond it
}

}  // namespace canhub
