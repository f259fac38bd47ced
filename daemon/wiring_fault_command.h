// What canhub-sim is told on its command line and on its standard input.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "daemon/core/hub.h"

namespace canhub {

struct FaultCommand {
  enum class What { kInject, kClear, kLoad, kList };
  What what = What::kList;
  std::string device;
  std::string fault;
  Arguments parameters;
};

// "inject hv0 trip channel=3", "clear hv0 [trip]", "load hv0 [channel=3] resistance=1e7
// capacitance=1e-9", "faults hv0". INVALID_ARGUMENT says what was expected.
absl::StatusOr<FaultCommand> ParseFaultCommand(std::string_view line);
// --inject's form: "hv0:trip:channel=3,delay=0.5"; the parameters may be absent.
absl::StatusOr<FaultCommand> ParseInjectFlag(std::string_view text);

// Carries it out; the answer's lines ("" for none).
absl::StatusOr<std::string> RunFaultCommand(const FaultCommand& command,
                                            SimulatorAccess& simulator);

}  // namespace canhub
