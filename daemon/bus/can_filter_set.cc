#include "daemon/bus/can_filter_set.h"

#include <linux/can.h>

#include <algorithm>

namespace canhub {
namespace {

constexpr uint32_t kForm = CAN_EFF_FLAG | CAN_RTR_FLAG;

// Every frame that passes `inner` passes `outer`.
bool Covers(const KernelFilter& outer, const KernelFilter& inner) {
  return (outer.mask & ~inner.mask) == 0 && (inner.id & outer.mask) == (outer.id & outer.mask);
}

}  // namespace

uint32_t KernelId(const CanFrame& frame) {
  return frame.id | (frame.extended ? CAN_EFF_FLAG : 0) | (frame.remote ? CAN_RTR_FLAG : 0);
}

bool Passes(std::span<const KernelFilter> filters, uint32_t can_id) {
  return std::any_of(filters.begin(), filters.end(), [&](const KernelFilter& filter) {
    return (can_id & filter.mask) == (filter.id & filter.mask);
  });
}

std::vector<KernelFilter> MergeFilters(std::span<const CanFilter> filters,
                                       const std::set<uint32_t>& sent_ids, bool tapped) {
  const std::vector<KernelFilter> everything = {{0, 0}};
  if (tapped) return everything;
  std::set<KernelFilter> wanted;
  for (const CanFilter& filter : filters) {
    const uint32_t mask = filter.mask & (filter.extended ? CAN_EFF_MASK : CAN_SFF_MASK);
    // The remote flag in the mask keeps remote frames out.
    wanted.insert({(filter.id & mask) | (filter.extended ? CAN_EFF_FLAG : 0), mask | kForm});
  }
  for (uint32_t id : sent_ids) {
    const bool extended = (id & CAN_EFF_FLAG) != 0;
    wanted.insert({id, (extended ? CAN_EFF_MASK : CAN_SFF_MASK) | kForm});
  }
  // More than this are not worth comparing pair by pair.
  if (wanted.size() > 4 * kMaxKernelFilters) return everything;
  std::vector<KernelFilter> merged;
  for (const KernelFilter& filter : wanted) {
    const bool covered = std::any_of(wanted.begin(), wanted.end(), [&](const KernelFilter& other) {
      return other != filter && Covers(other, filter);
    });
    if (!covered) merged.push_back(filter);
  }
  return merged.size() > kMaxKernelFilters ? everything : merged;
}

}  // namespace canhub
