#include "tests/simulation/event_log.h"

#include <algorithm>
#include <cstdio>

#include "tests/simulation/random.h"

namespace canhub::simulation {

uint64_t HashText(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

void EventLog::Add(uint64_t a, uint64_t b) { hash_ = Mix(Mix(hash_, a), b); }

void EventLog::Frame(MonoTime time, std::string_view bus, bool from_daemon, const CanFrame& frame,
                     const char* fault) {
  uint64_t data = 0;
  for (int i = 0; i < frame.dlc; ++i) data = data << 8 | frame.data[static_cast<size_t>(i)];
  Add(static_cast<uint64_t>(time.time_since_epoch().count()), data);
  Add(uint64_t{frame.id} << 8 | frame.dlc, (from_daemon ? 1u : 0u) | (*fault != '\0' ? 2u : 0u));
  Event& event = Next();
  event.time = time;
  event.text.clear();
  event.bus.assign(bus);
  event.from_daemon = from_daemon;
  event.frame = frame;
  event.fault = fault;
}

void EventLog::Text(MonoTime time, std::string text) {
  Add(static_cast<uint64_t>(time.time_since_epoch().count()), HashText(text));
  Event& event = Next();
  event.time = time;
  event.text = std::move(text);
}

std::vector<std::string> EventLog::Last(MonoTime zero, size_t count) const {
  std::vector<std::string> lines;
  const uint64_t there = std::min<uint64_t>({next_, kKept, count});
  for (uint64_t i = next_ - there; i < next_; ++i) {
    const Event& event = ring_[i % kKept];
    char time[32];
    std::snprintf(time, sizeof time, "%14.6f s  ",
                  std::chrono::duration<double>(event.time - zero).count());
    if (!event.text.empty()) {
      lines.push_back(time + event.text);
      continue;
    }
    lines.push_back(time + event.bus + (event.from_daemon ? " <- " : " -> ") +
                    FormatFrame(event.frame) + (*event.fault != '\0' ? " " : "") + event.fault);
  }
  return lines;
}

}  // namespace canhub::simulation
