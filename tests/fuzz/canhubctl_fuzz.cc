// What canhubctl reads from its user's command line, and from a daemon that may be another program.
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "clients/canhubctl/clock.h"
#include "clients/canhubctl/failure.h"
#include "clients/canhubctl/frame_filter.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/units.h"
#include "clients/canhubctl/values.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::ctl {
namespace {

template <typename T>
void CheckError(const Parsed<T>& parsed, const std::string& text) {
  if (!parsed.ok()) Require(!parsed.error().empty(), "a refusal has words", text);
}

void CheckWords(const std::string& text) {
  const Parsed<std::chrono::nanoseconds> duration = ParseDuration(text);
  CheckError(duration, text);
  if (duration.ok()) {
    Require(duration->count() >= 0, "a duration is not negative", text);
    Require(!FormatDuration(*duration).empty(), "a duration has words", text);
    Require(ToNanoseconds(ToProto(*duration)) == *duration, "a duration reads back", text);
  }
  const Parsed<int64_t> integer = ParseInteger(text);
  CheckError(integer, text);
  if (integer.ok()) {
    const Parsed<int64_t> again = ParseInteger(std::to_string(*integer));
    Require(again.ok() && *again == *integer, "an integer reads back", text);
  }
  const Parsed<std::vector<uint32_t>> channels = ParseChannels(text);
  CheckError(channels, text);
  if (channels.ok()) {
    Require(!channels->empty() && channels->size() <= 4096, "channels are some", text);
    for (const uint32_t channel : *channels) Require(channel <= 4095, "a channel is one", text);
  }
  CheckError(ParseFlag(text), text);
  CheckError(ParseFrameFilter(text), text);
  CheckError(ParseTimePoint(text, WallTime(std::chrono::seconds(1767225600))), text);
  const v1::Value guessed = GuessValue(text);
  if (guessed.kind_case() == v1::Value::kNumber) {
    Require(std::isfinite(guessed.number()), "a number is finite", text);
  }
}

void CheckQuantities(FuzzInput& input) {
  static const char* const kUnits[] = {"", "V", "A", "V/s", "%", "ms", "degC", "Ohm", "%/s"};
  const std::string unit = kUnits[input.Below(std::size(kUnits))];
  v1::ItemDescriptor item;
  item.set_name("hv0/x");
  item.set_unit(unit);
  item.set_type(static_cast<v1::ValueType>(input.Below(6)));
  (*item.mutable_labels())[3] = "three";
  const std::string text = input.Rest();
  CheckError(ParseValue(item, text), text);
  const Parsed<double> quantity = ParseQuantity(text, unit);
  CheckError(quantity, text);
  if (!quantity.ok()) return;
  Require(std::isfinite(*quantity), "a quantity is finite", text);
  const Parsed<double> exact = ParseQuantity(ExactNumber(*quantity), unit);
  Require(exact.ok() && *exact == *quantity, "a number reads back", text);
  const std::string shown = FormatQuantity(*quantity, unit);
  const Parsed<double> again = ParseQuantity(shown, unit);
  Require(again.ok(), "what is shown can be typed", text + " → " + shown);
  Require(
      std::abs(*again - *quantity) <= 1e-6 * std::abs(*quantity) || std::abs(*quantity) < 1e-300,
      "what is shown is what it is", text + " → " + shown);
}

void CheckTexts(FuzzInput& input) {
  const size_t width = input.Byte();
  const std::string text = input.Rest();
  Require(DisplayWidth(CutToWidth(text, width)) <= std::max<size_t>(width, 1), "cut to the width",
          text);
  TextTable table({{"A"}, {"B", Align::kRight}});
  table.AddRow({text});
  table.AddRow({"x", text});
  Require(!table.ToString().empty(), "a table has lines");
}

// Messages of a daemon with any content.
void CheckAnswers(FuzzInput& input) {
  const uint8_t kind = input.Byte();
  const std::string bytes = input.Rest();
  if (kind % 3 == 0) {
    const grpc::Status status(static_cast<grpc::StatusCode>(1 + kind / 3 % 16), "text", bytes);
    const Failure failure = FailureFromStatus(status);
    Require(!FailureLine(failure).empty() && !FailureJson(failure).empty(), "a failure has words");
    return;
  }
  if (kind % 3 == 1) {
    v1::Receipt receipt;
    if (receipt.ParseFromString(bytes)) {
      Require(!FormatReceipt(receipt).empty(), "a receipt has words");
    }
    return;
  }
  v1::Reading reading;
  if (!reading.ParseFromString(bytes)) return;
  Require(!FormatReadingValue(reading).empty() || reading.value().has_text() ||
              reading.last_good_value().has_text(),
          "a reading has words");
  FormatTime(reading.read_time());
  FormatIsoTime(reading.read_time());
  FormatAgo(reading.change_time(), WallTime(std::chrono::seconds(1767225600)));
  QualityName(reading.quality());
}

}  // namespace
}  // namespace canhub::ctl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace canhub;  // NOLINT(google-build-using-namespace)
  FuzzInput input(data, size);
  switch (input.Below(4)) {
    case 0:
      ctl::CheckWords(input.Rest());
      break;
    case 1:
      ctl::CheckQuantities(input);
      break;
    case 2:
      ctl::CheckTexts(input);
      break;
    default:
      ctl::CheckAnswers(input);
      break;
  }
  return 0;
}
