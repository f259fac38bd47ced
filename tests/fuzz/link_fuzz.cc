// What the kernel tells of a CAN interface: rtnetlink messages and error frames. A driver out of
// the tree may fill them as it likes.
#include <string>
#include <vector>

#include "daemon/bus/can_error_frame.h"
#include "daemon/bus/link_message.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub {
namespace {

void CheckDatagram(FuzzInput& input) {
  const std::string bytes = input.Rest();
  const LinkReply reply =
      ParseLinkMessages({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  for (const LinkInfo& link : reply.links) {
    Require(link.name.find('\0') == std::string::npos, "a name ends at its zero");
    Require(!link.controller || (link.is_can && link.kind == "can"),
            "only a CAN controller has a state");
    if (!link.counters) continue;
    const HiddenTraffic hidden = EstimateHidden({}, *link.counters, false, 10, 80, 0.5);
    Require(hidden.frames >= 0 && hidden.bits >= 0, "traffic is not negative");
  }
  if (reply.error) Require(*reply.error > 0, "an error number is positive");
}

void CheckErrorFrame(FuzzInput& input) {
  const uint32_t error_class = input.Take<uint32_t>() & 0x1FFFFFFF;
  const ErrorFrame error = DecodeErrorFrame(error_class, input.Bytes(input.Below(9)));
  Require(!error.text.empty(), "an error frame has words for what it says",
          std::to_string(error_class));
  Require(error.text.size() < 1000, "the words are not many");
}

void CheckRequest(const std::string& name) {
  const std::vector<uint8_t> request = BuildGetLink(name, 1);
  Require(request.size() % 4 == 0 && request.size() < 128, "a request has its form", name);
  Require(ParseLinkMessages(request).links.empty(), "a request is no answer", name);
}

}  // namespace
}  // namespace canhub

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace canhub;  // NOLINT(google-build-using-namespace)
  FuzzInput input(data, size);
  switch (input.Below(3)) {
    case 0:
      CheckDatagram(input);
      break;
    case 1:
      CheckErrorFrame(input);
      break;
    default:
      CheckRequest(input.Rest());
      break;
  }
  return 0;
}
