#include "tests/bench/bench_bus.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "tests/bench/datagram_line.h"

namespace canhub::bench {
namespace {

constexpr size_t kBatch = 64;

}  // namespace

BenchBus::BenchBus(const Clock& clock, BenchBusOptions options)
    : clock_(clock),
      options_(std::move(options)),
      core_(std::make_shared<BusCore>(
          clock, BusCore::Identity{options_.name, "bench", options_.name, options_.bitrate},
          BusState::kActive, "")),
      wake_(std::make_shared<WakeEvent>()) {
  core_->SetWaker([wake = wake_] { wake->Signal(); });
  core_->SetDirectWriter([this] {
    Write();
    return false;  // the echo
  });
}

BenchBus::~BenchBus() { Stop(); }

absl::Status BenchBus::Start(int realtime_priority) {
  socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlink(options_.socket_path.c_str());
  const sockaddr_un own = LineAddress(options_.socket_path);
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) {
    return absl::UnavailableError(options_.socket_path + ": " + ErrnoText(errno));
  }
  thread_ = std::thread([this] { Run(); });
  return SetRealtimePriority(thread_, realtime_priority, options_.name);
}

void BenchBus::Stop() {
  stop_ = true;
  wake_->Signal();
  if (thread_.joinable()) thread_.join();
  core_->Close();
}

std::unique_ptr<BusPort> BenchBus::Attach(std::vector<CanFilter> filters, FrameSink* sink) {
  return core_->Attach(std::move(filters), sink);
}

void BenchBus::Run() {
  while (!stop_) {
    std::array<pollfd, 2> wait = {pollfd{wake_->fd(), POLLIN, 0}, pollfd{socket_.get(), POLLIN, 0}};
    WaitForEvents(wait, clock_, kNever);
    const std::unique_lock line(core_->line());
    if (wait[0].revents != 0) wake_->Clear();
    if (wait[1].revents != 0) Receive();
    Write();
    Confirm();
  }
}

void BenchBus::Receive() {
  std::array<can_frame, kBatch> frames;
  std::array<iovec, kBatch> places;
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < kBatch; ++i) {
    places[i] = {&frames[i], sizeof(can_frame)};
    messages[i].msg_hdr.msg_iov = &places[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count = recvmmsg(socket_.get(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  const MonoTime now = clock_.Now();
  for (int i = 0; i < count; ++i) {
    if (messages[static_cast<size_t>(i)].msg_len != sizeof(can_frame)) continue;
    const can_frame& raw = frames[static_cast<size_t>(i)];
    CanFrame frame;
    frame.extended = (raw.can_id & CAN_EFF_FLAG) != 0;
    frame.id = raw.can_id & CAN_EFF_MASK;
    frame.dlc = std::min<uint8_t>(raw.can_dlc, 8);
    std::copy(raw.data, raw.data + 8, frame.data.begin());
    core_->CountLine(now, {static_cast<double>(WireBits(frame)), 1, 0});
    core_->DeliverRx(frame, now);
  }
}

void BenchBus::Write() {
  const sockaddr_un peer = LineAddress(options_.peer_path);
  while (std::optional<TxQueue::Entry> entry = core_->TakeTx(clock_.Now())) {
    const CanFrame& frame = entry->tx.frame;
    can_frame raw{};
    raw.can_id = frame.id | (frame.extended ? CAN_EFF_FLAG : 0);
    raw.can_dlc = frame.dlc;
    std::copy(frame.data.begin(), frame.data.end(), raw.data);
    // A peer that is away or slow is no part of what is measured.
    static_cast<void>(sendto(socket_.get(), &raw, sizeof raw, MSG_DONTWAIT | MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&peer), sizeof peer));
    const MonoTime now = clock_.Now();
    core_->CountLine(now, {static_cast<double>(WireBits(frame)), 1, 0});
    if (options_.heartbeats != nullptr && entry->tx.urgency == Urgency::kHeartbeat) {
      const MonoTime due = entry->tx.deadline - options_.heartbeat_period;
      options_.heartbeats->Add((now - due).count());
    }
    written_.push_back({*std::move(entry), now});
  }
}

void BenchBus::Confirm() {
  for (const Written& own : written_) {
    core_->DeliverOwn(own.entry.port, own.entry.tx.tag, own.entry.tx.frame, own.time);
  }
  written_.clear();
}

}  // namespace canhub::bench
