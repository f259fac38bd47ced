// The value of an item: 16 bytes, cheap to copy, never NaN or infinite.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace canhub {

enum class ValueType : uint8_t { kNone, kFlag, kInteger, kNumber, kText };
std::string_view ToString(ValueType type);

// Copyable on any thread; text is shared and immutable.
class Value {
 public:
  Value() = default;  // kNone: no value
  static Value Flag(bool v);
  static Value Integer(int64_t v);
  static Value Number(double v);  // requires std::isfinite(v)
  static Value Text(std::string_view v);
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  ValueType type() const { return type_; }
  bool has_value() const { return type_ != ValueType::kNone; }
  // Require the type.
  bool flag() const;
  int64_t integer() const;
  double number() const;
  const std::string& text() const;
  // Flag, integer or number as double; requires one of these.
  double AsNumber() const;
  // "1000", "true", "E08F2"; "" for no value. Numbers in the shortest form that reads back equal.
  std::string ToString() const;
  friend bool operator==(const Value& a, const Value& b);

 private:
  struct SharedText;
  void Release();
  union {
    bool flag_;
    int64_t integer_ = 0;
    double number_;
    SharedText* text_;
  };
  ValueType type_ = ValueType::kNone;
};

// The shortest decimal that rounds to the same binary32: a device that sends 57.6 means 57.6, not
// 57.599998474121094. NaN and infinities as they are.
double ShortestDecimal(float f);

}  // namespace canhub
