// For tests: commands to one polled unit, and the writes they send.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "drivers/api/errors.h"
#include "drivers/studer/line_testing.h"
#include "gtest/gtest.h"

namespace canhub::studer {

class WritesTest : public testing::Test {
 protected:
  explicit WritesTest(Parameters parameters = {}) : t_(std::move(parameters)) { t_.StartPolled(); }

  using Result = RecordingReporter::Finished;
  Command WriteFlash(const char* parameter, double value, bool force = false) {
    return t_.h.Action(action::kWriteFlash, {{action::kArgumentParameter, Value::Text(parameter)},
                                             {action::kArgumentValue, Value::Number(value)},
                                             {action::kArgumentForce, Value::Flag(force)}});
  }
  Command WriteRam(const char* parameter, double value, bool force = false) {
    return t_.h.Action(action::kWriteParameter,
                       {{action::kArgumentParameter, Value::Text(parameter)},
                        {action::kArgumentValue, Value::Number(value)},
                        {action::kArgumentForce, Value::Flag(force)}});
  }
  // Writes sent since the last call, as frames.
  std::vector<std::string> Writes() {
    std::vector<std::string> writes;
    for (const TxFrame& tx : t_.line.TakeSent()) {
      if (ParseId(tx.frame.id).service == 2) writes.push_back(FormatFrame(tx.frame));
    }
    return writes;
  }
  static std::string ReasonOf(const Result* result) {
    return result == nullptr ? "not ended" : GetErrorInfo(result->status).reason;
  }
  static bool Skipped(const Result* result) {
    return FindArgument(result->results, action::kResultSkipped)->flag();
  }

  TestUnit t_;
};

}  // namespace canhub::studer
