// The decoders on any frame: what they accept they have understood whole, so that encoding the
// result gives the frame again; what they refuse has one of the stable reasons.
#include <algorithm>
#include <bit>
#include <set>
#include <string>

#include "drivers/studer/codec.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub::studer {
namespace {

void CheckRefusal(const absl::Status& status) {
  static const std::set<std::string> kReasons = {"not_extended",  "unknown_service", "short_frame",
                                                 "error_message", "service",         "flags",
                                                 "length"};
  Require(kReasons.contains(BadFrameReason(status)), "a refusal has a stable reason",
          status.ToString());
}

void CheckAnswer(const CanFrame& frame) {
  const absl::StatusOr<Answer> answer = DecodeAnswer(frame);
  if (!answer.ok()) return CheckRefusal(answer.status());
  // Undocumented flags and data beyond the layout are ignored.
  CanFrame expected = EncodeAnswer(*answer);
  Require(expected.dlc <= frame.dlc, "an answer is as long as its layout", FormatFrame(frame));
  CanFrame known = frame;
  known.id &= ~uint32_t{0x3E};
  known.dlc = expected.dlc;
  Require(expected == known, "an answer is understood whole", FormatFrame(frame));
}

void CheckRequest(const CanFrame& frame) {
  const absl::StatusOr<Request> request = DecodeRequest(frame);
  if (!request.ok()) return CheckRefusal(request.status());
  Require(EncodeRequest(*request) == frame, "a request is understood whole", FormatFrame(frame));
}

}  // namespace
}  // namespace canhub::studer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::FuzzInput input(data, size);
  while (!input.empty()) {
    const canhub::CanFrame frame = input.Frame();
    canhub::studer::CheckAnswer(frame);
    canhub::studer::CheckRequest(frame);
    const uint32_t id = frame.id & 0x1FFFFFFF;
    canhub::Require(canhub::studer::MakeId(canhub::studer::ParseId(id)) == id,
                    "an identifier is understood whole");
    const uint32_t code = input.Take<uint32_t>();
    canhub::Require(!canhub::studer::ErrorStatus(code, "x").ok(), "an error is one");
  }
  return 0;
}
