#include "daemon/bus/link_message.h"

#include <linux/can/netlink.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>
#include <functional>

namespace canhub {
namespace {

template <typename T>
bool Read(std::span<const uint8_t> bytes, T* value) {
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(value, bytes.data(), sizeof(T));
  return true;
}

// Calls `visit` with the type and content of every whole attribute.
void ForEachAttribute(std::span<const uint8_t> bytes,
                      const std::function<void(uint16_t, std::span<const uint8_t>)>& visit) {
  rtattr attribute;
  while (Read(bytes, &attribute)) {
    if (attribute.rta_len < sizeof(rtattr) || attribute.rta_len > bytes.size()) return;
    visit(attribute.rta_type & NLA_TYPE_MASK,
          bytes.subspan(sizeof(rtattr), attribute.rta_len - sizeof(rtattr)));
    const size_t step = std::min<size_t>(RTA_ALIGN(attribute.rta_len), bytes.size());
    bytes = bytes.subspan(step);
  }
}

std::string Text(std::span<const uint8_t> bytes) {
  const auto end = std::find(bytes.begin(), bytes.end(), 0);
  return std::string(bytes.begin(), end);
}

std::optional<BusState> ControllerState(uint32_t state) {
  switch (state) {
    case CAN_STATE_ERROR_ACTIVE:
      return BusState::kActive;
    case CAN_STATE_ERROR_WARNING:
      return BusState::kWarning;
    case CAN_STATE_ERROR_PASSIVE:
      return BusState::kPassive;
    case CAN_STATE_BUS_OFF:
      return BusState::kBusOff;
    case CAN_STATE_STOPPED:
    case CAN_STATE_SLEEPING:
      return BusState::kDown;
    default:
      return std::nullopt;
  }
}

void ParseCanData(std::span<const uint8_t> bytes, LinkInfo* link) {
  ForEachAttribute(bytes, [link](uint16_t type, std::span<const uint8_t> content) {
    switch (type) {
      case IFLA_CAN_BITTIMING: {
        can_bittiming timing;
        if (Read(content, &timing)) link->bitrate = timing.bitrate;
        break;
      }
      case IFLA_CAN_STATE: {
        uint32_t state;
        if (Read(content, &state)) link->controller = ControllerState(state);
        break;
      }
      case IFLA_CAN_CTRLMODE: {
        can_ctrlmode mode;
        if (Read(content, &mode)) link->listen_only = (mode.flags & CAN_CTRLMODE_LISTENONLY) != 0;
        break;
      }
      case IFLA_CAN_RESTART_MS: {
        uint32_t restart;
        if (Read(content, &restart)) link->restart_ms = restart;
        break;
      }
      case IFLA_CAN_BERR_COUNTER: {
        can_berr_counter counter;
        if (Read(content, &counter)) {
          link->transmit_errors = counter.txerr;
          link->receive_errors = counter.rxerr;
        }
        break;
      }
      default:
        break;
    }
  });
}

LinkInfo ParseLink(const ifinfomsg& header, std::span<const uint8_t> attributes) {
  LinkInfo link;
  link.index = header.ifi_index;
  link.is_can = header.ifi_type == ARPHRD_CAN;
  link.up = (header.ifi_flags & IFF_UP) != 0;
  std::span<const uint8_t> data;
  ForEachAttribute(attributes, [&](uint16_t type, std::span<const uint8_t> content) {
    if (type == IFLA_IFNAME) {
      link.name = Text(content);
    } else if (type == IFLA_STATS64) {
      // The structure has grown over the years: read what stands at its beginning.
      struct {
        uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
      } stats;
      if (Read(content, &stats)) {
        link.counters =
            LinkInfo::Counters{stats.rx_packets, stats.tx_packets, stats.rx_bytes, stats.tx_bytes};
      }
    } else if (type == IFLA_LINKINFO) {
      ForEachAttribute(content, [&](uint16_t inner, std::span<const uint8_t> inner_content) {
        if (inner == IFLA_INFO_KIND) link.kind = Text(inner_content);
        if (inner == IFLA_INFO_DATA) data = inner_content;
      });
    }
  });
  // Only now: the kind decides what the data are, whatever stands first.
  if (link.is_can && link.kind == "can") ParseCanData(data, &link);
  return link;
}

}  // namespace

LinkReply ParseLinkMessages(std::span<const uint8_t> datagram) {
  LinkReply reply;
  nlmsghdr header;
  while (Read(datagram, &header)) {
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) break;
    const std::span<const uint8_t> payload =
        datagram.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
    if (header.nlmsg_type == RTM_NEWLINK || header.nlmsg_type == RTM_DELLINK) {
      ifinfomsg info;
      if (Read(payload, &info)) {
        const size_t skip = std::min<size_t>(NLMSG_ALIGN(sizeof(ifinfomsg)), payload.size());
        LinkInfo link = ParseLink(info, payload.subspan(skip));
        link.deleted = header.nlmsg_type == RTM_DELLINK;
        reply.links.push_back(std::move(link));
      }
    } else if (header.nlmsg_type == NLMSG_ERROR) {
      int32_t code;
      // The smallest number has no positive counterpart, and is no error of Linux.
      if (Read(payload, &code) && code < 0 && code != INT32_MIN) reply.error = -code;
    }
    const size_t step = std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size());
    datagram = datagram.subspan(step);
  }
  return reply;
}

std::vector<uint8_t> BuildGetLink(const std::string& name, uint32_t sequence) {
  const std::string short_name = name.substr(0, IFNAMSIZ - 1);
  nlmsghdr header{};
  ifinfomsg info{};
  rtattr attribute{};
  attribute.rta_type = IFLA_IFNAME;
  attribute.rta_len = static_cast<uint16_t>(RTA_LENGTH(short_name.size() + 1));
  header.nlmsg_len =
      static_cast<uint32_t>(NLMSG_LENGTH(sizeof(info)) + RTA_ALIGN(attribute.rta_len));
  header.nlmsg_type = RTM_GETLINK;
  header.nlmsg_flags = NLM_F_REQUEST;
  header.nlmsg_seq = sequence;
  info.ifi_family = AF_UNSPEC;
  std::vector<uint8_t> bytes(header.nlmsg_len, 0);
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &info, sizeof(info));
  uint8_t* const at = bytes.data() + NLMSG_LENGTH(sizeof(info));
  std::memcpy(at, &attribute, sizeof(attribute));
  std::memcpy(at + RTA_LENGTH(0), short_name.data(), short_name.size());
  return bytes;
}

HiddenTraffic EstimateHidden(const LinkInfo::Counters& before, const LinkInfo::Counters& after,
                             bool loops_back, uint64_t seen_frames, uint64_t seen_bytes,
                             double extended_share) {
  // Counters begin anew with a new interface.
  const auto grown = [](uint64_t from, uint64_t to) {
    return to >= from ? to - from : uint64_t{0};
  };
  uint64_t frames = grown(before.tx_packets, after.tx_packets);
  uint64_t bytes = grown(before.tx_bytes, after.tx_bytes);
  if (!loops_back) {
    frames += grown(before.rx_packets, after.rx_packets);
    bytes += grown(before.rx_bytes, after.rx_bytes);
  }
  if (frames <= seen_frames) return {};
  // Bits of a frame without data and stuff bits, and the stuff bits of random data (mean):
  // performance.md, section 1.
  constexpr double kStandardBits = 47 + 2.7, kExtendedBits = 67 + 3.5;
  HiddenTraffic hidden;
  hidden.frames = static_cast<double>(frames - seen_frames);
  hidden.bits = hidden.frames * (kStandardBits + extended_share * (kExtendedBits - kStandardBits)) +
                8.0 * static_cast<double>(bytes > seen_bytes ? bytes - seen_bytes : 0);
  return hidden;
}

}  // namespace canhub
