// The loader with any text, and the decoder with any payload of what it loads: what a file cannot
// say is refused with its line; what it says decodes the same on the fast and on the slow way, and
// what was decoded encodes to the same bits.
#include "drivers/formats/dbc.h"

#include <array>
#include <cmath>

#include "drivers/testing/fuzz_input.h"

namespace {

using canhub::FuzzInput;
using canhub::Require;
namespace dbc = canhub::dbc;

void CheckSignal(const dbc::Signal& signal, dbc::Bits bits, std::span<const uint8_t> data) {
  Require(bits == dbc::ExtractBits(signal, data), "both ways of decoding agree", signal.name);
  std::array<uint8_t, 64> copy{};
  std::copy(data.begin(), data.end(), copy.begin());
  dbc::InsertBits(signal, bits, {copy.data(), data.size()});
  Require(std::equal(data.begin(), data.end(), copy.begin()), "decoded bits go back unchanged",
          signal.name);
  const double physical = signal.Physical(bits);
  const std::optional<int64_t> whole = signal.PhysicalInteger(bits);
  Require(!whole || signal.integral, "only whole numbers are integers", signal.name);
  if (!std::isfinite(physical)) return;
  const absl::StatusOr<dbc::Bits> back = signal.FromPhysical(physical);
  // Where steps are wide enough for a double to tell neighbours apart.
  const bool telling = !signal.is_float && signal.length <= 24 &&
                       std::abs(signal.offset) < 1e6 * std::abs(signal.factor) &&
                       std::abs(signal.factor) > 1e-200 && std::abs(signal.factor) < 1e200;
  if (telling && back.ok()) Require(*back == bits, "a value encodes to its own bits", signal.name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzInput input(data, size);
  std::array<uint8_t, 64> payload{};
  const std::span<const uint8_t> given = input.Bytes(16);
  for (size_t i = 0; i < payload.size() && !given.empty(); ++i) {
    payload[i] = static_cast<uint8_t>(given[i % given.size()] + i / given.size());
  }
  const absl::StatusOr<dbc::Database> database = dbc::Parse(input.Rest(), "f.dbc");
  if (!database.ok()) {
    Require(std::string_view(database.status().message().data(), 6) == "f.dbc:",
            "an error names the file and the line", database.status().ToString());
    return 0;
  }
  for (const dbc::Message& message : database->messages) {
    Require(database->Find(message.id, message.extended) == &message,
            "a message is found by its id");
    Require(message.length <= 64, "a message has at most 64 bytes");
    if (!message.problem.empty()) continue;
    const std::span<const uint8_t> bytes(payload.data(), static_cast<size_t>(message.length));
    message.ForEach(dbc::Payload(bytes), [&](int index, dbc::Bits bits) {
      CheckSignal(message.signals[static_cast<size_t>(index)], bits, bytes);
    });
  }
  return 0;
}
