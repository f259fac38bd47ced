// Every other text that the daemon reads: frames as cansend and candump write them, numbers with
// units, addresses, patterns of items and of identities. What is accepted reads back the same.
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "daemon/config/endpoint.h"
#include "daemon/config/loader.h"
#include "daemon/config/quantity.h"
#include "daemon/core/access.h"
#include "daemon/core/item_pattern.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub {
namespace {

void CheckFrame(const std::string& text) {
  const absl::StatusOr<CanFrame> frame = ParseFrame(text);
  if (!frame.ok()) return;
  Require(frame->dlc <= 8 && frame->id <= (frame->extended ? 0x1FFFFFFFu : 0x7FFu),
          "a frame is one", text);
  const absl::StatusOr<CanFrame> again = ParseFrame(FormatFrame(*frame));
  Require(again.ok() && *again == *frame, "a frame reads back", text);
  Require(WireBits(*frame) >= 44 && WireBits(*frame) <= 160, "a frame takes its time", text);
}

void CheckCandump(const std::string& text) {
  const absl::StatusOr<CandumpLine> line = ParseCandumpLine(text);
  if (!line.ok()) return;
  Require(line->time >= WallTime{}, "a time is not before 1970", text);
  const absl::StatusOr<CandumpLine> again =
      ParseCandumpLine(FormatCandumpLine(line->time, line->interface, line->frame));
  Require(again.ok() && again->frame == line->frame && again->interface == line->interface,
          "a line reads back", text);
  using std::chrono::microseconds;
  Require(again->time == std::chrono::floor<microseconds>(line->time), "a time reads back", text);
}

void CheckNumber(const std::string& text) {
  if (const std::optional<double> number = ParseNumber(text)) {
    Require(std::isfinite(*number), "a number is finite", text);
    Require(ParseNumber(FormatNumber(*number)) == number, "a number reads back", text);
  }
  if (const std::optional<int64_t> integer = ParseInteger(text)) {
    Require(ParseInteger(std::to_string(*integer)) == integer, "an integer reads back", text);
  }
}

void CheckQuantity(FuzzInput& input) {
  static const char* const kUnits[] = {"V", "A", "V/s",     "A/s", "s",
                                       "%", "B", "calls/s", "Ohm", "F"};
  const char* const unit = kUnits[input.Below(std::size(kUnits))];
  const std::string text = input.Rest();
  const absl::StatusOr<double> value = ParseQuantity(text, unit);
  if (!value.ok()) return;
  Require(std::isfinite(*value), "a quantity is finite", text);
  const std::string written = FormatQuantity(*value, unit);
  const absl::StatusOr<double> again = ParseQuantity(written, unit);
  Require(again.ok(), "a quantity reads back", text + " → " + written);
  Require(std::abs(*again - *value) <= 1e-9 * std::abs(*value), "a quantity stays the same",
          text + " → " + written);
}

void CheckAddress(const std::string& text) {
  const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
  if (endpoint.ok()) Require(!endpoint->host.empty(), "an endpoint has a host", text);
  const absl::StatusOr<ListenConfig> listen = ParseListenFlag(text);
  if (!listen.ok()) return;
  if (listen->is_unix()) return;
  Require(endpoint.ok() && endpoint->loopback, "a flag opens nothing to other machines", text);
}

// A table with names like those of a real one.
const ItemTable& Items() {
  static const ItemSpec kChannel[] = {{.name = "voltage_measure", .alias = "Status.voltageMeasure"},
                                      {.name = "on"},
                                      {.name = "a_a_a_a_a_a_a_a_a_a_a_a"}};
  static const ItemSpec kModule[] = {{.name = "status"}, {.name = "temperature"}};
  static const ItemTable table({{"", 0, 1, kModule}, {"ch", 0, 12, kChannel}});
  return table;
}

void CheckPattern(const std::string& text) {
  const absl::StatusOr<ItemPattern> pattern = ItemPattern::Parse(text);
  if (!pattern.ok()) return;
  Require(pattern->text() == text, "a pattern keeps its text", text);
  const std::vector<ItemId> matches = pattern->Match(Items());
  for (const ItemId id : matches) Require(id < Items().size(), "a match exists", text);
  if (pattern->exact()) {
    Require(matches.size() <= 1, "a plain name matches one item", text);
    Require(pattern->MatchesDevice(pattern->device()), "a plain name matches itself", text);
  }
  const absl::StatusOr<ItemPattern> again = ItemPattern::Parse(pattern->text());
  Require(again.ok() && again->Match(Items()) == matches, "a pattern reads back", text);
}

void CheckAccess(FuzzInput& input) {
  const std::string identity = input.Text(input.Below(64));
  const std::string rule = input.Rest();
  const AccessRules rules({{rule, Role::kEngineer}}, Role::kNone);
  const bool matches = rules.RoleOf(identity) == Role::kEngineer;
  if (rule.find('*') == std::string::npos) {
    Require(matches == (rule == identity), "a plain rule means one identity", rule);
  } else {
    const std::string head = rule.substr(0, rule.find('*'));
    const std::string tail = rule.substr(rule.rfind('*') + 1);
    if (matches) {
      Require(identity.starts_with(head) && identity.ends_with(tail) &&
                  identity.size() >= head.size() + tail.size(),
              "a star stands for letters between its neighbours", rule);
    }
  }
}

}  // namespace
}  // namespace canhub

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace canhub;  // NOLINT(google-build-using-namespace)
  FuzzInput input(data, size);
  switch (input.Below(7)) {
    case 0:
      CheckFrame(input.Rest());
      break;
    case 1:
      CheckCandump(input.Rest());
      break;
    case 2:
      CheckNumber(input.Rest());
      break;
    case 3:
      CheckQuantity(input);
      break;
    case 4:
      CheckAddress(input.Rest());
      break;
    case 5:
      CheckPattern(input.Rest());
      break;
    default:
      CheckAccess(input);
      break;
  }
  return 0;
}
