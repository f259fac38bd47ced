// Which frames the kernel must hand up for the ports of one bus.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "drivers/api/can_frame.h"

namespace canhub {

// The fields of linux/can.h's can_filter: identifier and mask with the form's flag bits in them.
struct KernelFilter {
  uint32_t id = 0;
  uint32_t mask = 0;
  friend auto operator<=>(const KernelFilter&, const KernelFilter&) = default;
};

// CAN_RAW_FILTER_MAX of linux/can/raw.h: the kernel refuses more.
inline constexpr size_t kMaxKernelFilters = 512;

// The ports' filters and the identifiers that are sent (whose echoes must come back), without
// doubles and without what a wider filter covers. One filter with mask 0 passes everything: when a
// tap listens, or when more than the kernel's limit would be needed.
std::vector<KernelFilter> MergeFilters(std::span<const CanFilter> filters,
                                       const std::set<uint32_t>& sent_ids, bool tapped);

// Identifier with form and remote flags, as in can_frame.can_id.
uint32_t KernelId(const CanFrame& frame);

// Whether a frame with this can_id passes one of them, by the kernel's rule.
bool Passes(std::span<const KernelFilter> filters, uint32_t can_id);

}  // namespace canhub
