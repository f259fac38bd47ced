#include "clients/canhubctl/hv_call.h"

namespace canhub::ctl {

Parsed<std::optional<std::vector<uint32_t>>> TargetChannels(const HvTarget& target) {
  using Channels = std::optional<std::vector<uint32_t>>;
  if (target.channel_text.empty() || target.channel_text == "all") return Channels();
  const Parsed<std::vector<uint32_t>> channels = ParseChannels(target.channel_text);
  if (!channels.ok()) {
    return Parsed<Channels>::Error("channel " + channels.error() + ", or \"all\"");
  }
  return Channels(*channels);
}

std::string TargetName(const std::string& device, std::optional<uint32_t> channel) {
  return channel ? device + " ch" + std::to_string(*channel) : device;
}

void AddTarget(CLI::App& command, Session& session, HvTarget& target, ChannelArgument channel) {
  session.Hint(command.add_option("device", target.device, "the device's id")->required(),
               Complete::kDevice);
  if (channel == ChannelArgument::kNone) return;
  CLI::Option* option =
      command.add_option("channel", target.channel_text,
                         channel == ChannelArgument::kNeeded
                             ? "a channel from 0, a list such as 0-3,7, or all"
                             : "a channel from 0, a list such as 0-3,7; without: the whole device");
  if (channel == ChannelArgument::kNeeded) option->required();
}

}  // namespace canhub::ctl
