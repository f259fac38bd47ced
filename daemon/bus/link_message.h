// What rtnetlink tells of a CAN interface. Facts: linux/rtnetlink.h, linux/if_link.h,
// linux/can/netlink.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "drivers/api/can_bus.h"

namespace canhub {

struct LinkInfo {
  int index = 0;
  std::string name;
  std::string kind;  // "can", "vcan", "vxcan", "slcan"; "" when the interface has none
  bool is_can = false;
  bool up = false;
  bool deleted = false;                     // RTM_DELLINK
  uint32_t bitrate = 0;                     // 0: the interface has none (vcan) or none is set
  bool listen_only = false;                 // CAN_CTRLMODE_LISTENONLY
  std::optional<BusState> controller;       // IFLA_CAN_STATE; kDown for stopped and sleeping
  std::optional<uint32_t> restart_ms;       // 0: no automatic restart after bus-off
  std::optional<uint32_t> transmit_errors;  // IFLA_CAN_BERR_COUNTER
  std::optional<uint32_t> receive_errors;
  struct Counters {
    uint64_t rx_packets = 0, tx_packets = 0, rx_bytes = 0, tx_bytes = 0;
  };
  std::optional<Counters> counters;  // IFLA_STATS64
};

struct LinkReply {
  std::vector<LinkInfo> links;
  // NLMSG_ERROR's errno, positive: ENODEV when the interface asked for does not exist.
  std::optional<int> error;
};

// All complete messages of one datagram; what is cut off, too long or of another type is skipped.
LinkReply ParseLinkMessages(std::span<const uint8_t> datagram);

// RTM_GETLINK for one interface by name.
std::vector<uint8_t> BuildGetLink(const std::string& name, uint32_t sequence);

// What the line was busy with between two readings of the counters, less the frames that were seen
// and counted exactly (`seen_frames`, `seen_bytes`). The counters do not tell the form of a frame:
// `extended_share` (0 … 1, of the frames seen) decides. vcan counts a frame twice, sent and looped
// back.
struct HiddenTraffic {
  double frames = 0;
  double bits = 0;
};
HiddenTraffic EstimateHidden(const LinkInfo::Counters& before, const LinkInfo::Counters& after,
                             bool loops_back, uint64_t seen_frames, uint64_t seen_bytes,
                             double extended_share);

}  // namespace canhub
