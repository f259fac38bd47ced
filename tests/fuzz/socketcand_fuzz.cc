// The socketcand stream, as the server and as the client read it: however TCP cuts it into pieces,
// the same elements come out, no memory is taken by what never ends, and frames read back.
#include <string>
#include <string_view>
#include <vector>

#include "daemon/bus/socketcand_protocol.h"
#include "drivers/testing/fuzz_input.h"

namespace canhub {
namespace {

std::vector<std::string> Elements(ElementParser& parser) {
  std::vector<std::string> elements;
  while (std::optional<std::string> element = parser.Next()) elements.push_back(*element);
  return elements;
}

void CheckMessage(const std::string& words) {
  using Type = SocketcandMessage::Type;
  const SocketcandMessage message = ParseSocketcand(words);
  if (message.type != Type::kSend && message.type != Type::kFrame) {
    Require(message.frame == CanFrame{}, "only a frame has a frame", words);
    return;
  }
  const CanFrame& frame = message.frame;
  Require(frame.dlc <= 8 && frame.id <= (frame.extended ? 0x1FFFFFFFu : 0x7FFu), "a frame is one",
          words);
  // Client to server, and back.
  for (const std::string& text : {FormatSend(frame), FormatReceived(frame, WallTime{})}) {
    ElementParser parser;
    parser.Feed(text);
    const std::vector<std::string> elements = Elements(parser);
    Require(elements.size() == 1 && parser.dropped() == 0, "a frame is one element", text);
    const SocketcandMessage again = ParseSocketcand(elements[0]);
    Require((again.type == Type::kSend || again.type == Type::kFrame) && again.frame == frame,
            "a frame reads back", words + " → " + text);
  }
}

void Run(FuzzInput input) {
  // The sizes of the pieces first, then the stream.
  std::vector<size_t> cuts;
  const size_t count = input.Below(16);
  for (size_t i = 0; i < count; ++i) cuts.push_back(input.Byte());
  const std::string stream = input.Rest();

  ElementParser whole;
  whole.Feed(stream);
  const std::vector<std::string> expected = Elements(whole);

  ElementParser cut;
  std::vector<std::string> found;
  std::string_view rest = stream;
  for (size_t i = 0; !rest.empty(); ++i) {
    const size_t wanted = i < cuts.size() ? cuts[i] : rest.size();
    const std::string_view piece = rest.substr(0, wanted);
    rest.remove_prefix(piece.size());
    cut.Feed(piece);
    // Not always read to the end before more arrives.
    if (wanted % 3 == 1 && !rest.empty()) {
      if (std::optional<std::string> element = cut.Next()) found.push_back(*element);
      continue;
    }
    for (std::string& element : Elements(cut)) found.push_back(std::move(element));
  }
  Require(found == expected && cut.dropped() == whole.dropped(), "cuts change nothing", stream);
  for (const std::string& element : expected) {
    Require(element.size() <= ElementParser::kMaxElement, "an element has a bound", element);
    CheckMessage(element);
  }
}

}  // namespace
}  // namespace canhub

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canhub::Run(canhub::FuzzInput(data, size));
  return 0;
}
