// Short forms for the rows of items_*.cc. Included by them only.
#pragma once

#include "drivers/iseg/items.h"

namespace canhub::iseg::rows {

inline constexpr Confidence k2 = Confidence::kTwoSources;
inline constexpr Confidence k1 = Confidence::kOneSource;
inline constexpr Confidence kInf = Confidence::kInferred;
inline constexpr Confidence kDiffer = Confidence::kSourcesDiffer;

// A bit of a register that cannot be written.
constexpr ItemEntry Bit(const char* parent, int bit, const char* name, const char* alias,
                        const char* description, const char* source, Confidence confidence = k2,
                        Features needs = 0) {
  ItemEntry row;
  row.spec.name = name;
  row.spec.alias = alias;
  row.spec.type = ValueType::kFlag;
  row.spec.description = description;
  row.spec.source = source;
  row.spec.confidence = confidence;
  row.spec.bit = bit;
  row.needs = needs;
  row.flag_parent = parent;
  return row;
}

constexpr ItemEntry InvertedBit(const char* parent, int bit, const char* name, const char* alias,
                                const char* description, const char* source,
                                Confidence confidence = k2) {
  ItemEntry row = Bit(parent, bit, name, alias, description, source, confidence);
  row.spec.bit_inverted = true;
  return row;
}

constexpr ItemEntry WritableBit(const char* parent, int bit, const char* name, const char* alias,
                                const char* description, const char* source,
                                Confidence confidence = k2, Features needs = 0) {
  ItemEntry row = Bit(parent, bit, name, alias, description, source, confidence, needs);
  row.spec.access = Access::kReadWrite;
  row.writing = Writing::kBit;
  return row;
}

// Computed by the driver.
constexpr ItemEntry Derived(const char* name, const char* alias, ValueType type, const char* unit,
                            const char* description, const char* source, Features needs = 0) {
  ItemEntry row;
  row.spec.name = name;
  row.spec.alias = alias;
  row.spec.type = type;
  row.spec.unit = unit;
  row.spec.description = description;
  row.spec.source = source;
  row.spec.confidence = Confidence::kDerived;
  row.needs = needs;
  return row;
}

// A register that is only read.
constexpr ItemEntry Read(uint16_t data_id, Poll poll, const char* name, const char* alias,
                         ValueType type, const char* unit, const char* description,
                         const char* source, Confidence confidence = k2, Features needs = 0) {
  ItemEntry row;
  row.spec.name = name;
  row.spec.alias = alias;
  row.spec.type = type;
  row.spec.unit = unit;
  row.spec.description = description;
  row.spec.source = source;
  row.spec.confidence = confidence;
  row.data_id = data_id;
  row.poll = poll;
  row.needs = needs;
  return row;
}

// A register whose value can be written.
constexpr ItemEntry Write(uint16_t data_id, Poll poll, const char* name, const char* alias,
                          ValueType type, const char* unit, const char* description,
                          const char* source, Confidence confidence = k2, Features needs = 0) {
  ItemEntry row =
      Read(data_id, poll, name, alias, type, unit, description, source, confidence, needs);
  row.spec.access = Access::kReadWrite;
  row.writing = Writing::kRegister;
  return row;
}

constexpr ItemEntry WithRange(ItemEntry row, double minimum, double maximum) {
  row.spec.minimum = minimum;
  row.spec.maximum = maximum;
  return row;
}

constexpr ItemEntry WithMinimum(ItemEntry row, double minimum) {
  row.spec.minimum = minimum;
  return row;
}

constexpr ItemEntry WithLimit(ItemEntry row, const char* limit) {
  row.spec.limit = limit;
  return row;
}

constexpr ItemEntry WithLabels(ItemEntry row, std::span<const ValueLabel> labels) {
  row.spec.labels = labels;
  return row;
}

constexpr ItemEntry WithWide(ItemEntry row, uint16_t wide_id) {
  row.wide_id = wide_id;
  return row;
}

constexpr ItemEntry AtIndex(ItemEntry row, int index) {
  row.index = index;
  return row;
}

constexpr ItemEntry Optional(ItemEntry row) {
  row.optional = true;
  return row;
}

constexpr ItemEntry ClearedByOnes(ItemEntry row) {
  row.writing = Writing::kClearOnes;
  return row;
}

// iCS's running state (section 20.2).
inline constexpr ValueLabel kRunningStates[] = {
    {0, "off"}, {1, "ok"}, {2, "info"}, {3, "error"}, {4, "disabled"}};

}  // namespace canhub::iseg::rows
