// The least that canhubd takes for an iseg module: answers every read at once, remembers writes.
#pragma once

#include <linux/can.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "drivers/iseg/edcp.h"

namespace canhub::bench {

// canhub-sim waits 2 ms and then sends an answer per millisecond, as a module may; this one is as
// fast as the line, so that what is measured is the line and canhubd. It poses as a T48C0.
class EdcpModule {
 public:
  EdcpModule(int address, int channels);

  // What it listens to.
  canid_t write_id() const { return write_id_; }
  canid_t read_id() const { return write_id_ | iseg::kReadBit; }

  // Appends the answers to `request`; true when it was a read.
  bool OnFrame(const can_frame& request, std::vector<can_frame>* answers);
  // An answer that carries the next sequence number as measured voltage, channel after channel.
  can_frame NextMeasurement();

  // Every measured voltage counts up by 1 from 0 to kSequence - 1, exact in a binary32; so a
  // witness sees what is missing.
  static constexpr uint32_t kSequence = 1 << 16;
  // The number that a measured voltage carries, or -1 for any other frame.
  static int SequenceOf(const can_frame& frame);

 private:
  std::vector<uint8_t> ValueOf(uint16_t data_id, int channel);
  void AnswerIndexed(uint16_t data_id, int index, std::vector<can_frame>* answers);
  void AnswerText(uint16_t data_id, const char* text, std::vector<can_frame>* answers);
  can_frame Frame(uint16_t data_id, int index, const std::vector<uint8_t>& value) const;

  const canid_t write_id_;
  const int channels_;
  uint32_t sequence_ = 0;
  std::map<std::pair<uint16_t, int>, std::vector<uint8_t>> written_;
};

}  // namespace canhub::bench
