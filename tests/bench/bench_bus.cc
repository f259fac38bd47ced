#include "tests/bench/bench_bus.h"

#include <linux/can.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace canhub::bench {
namespace {

constexpr uint32_t kBitrate = 125000;
constexpr size_t kBatch = 64;

sockaddr_un Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

}  // namespace

BenchBus::BenchBus(const Clock& clock, std::string name, std::string socket_path,
                   std::string peer_path)
    : clock_(clock),
      name_(std::move(name)),
      socket_path_(std::move(socket_path)),
      peer_path_(std::move(peer_path)),
      core_(std::make_shared<BusCore>(clock, BusCore::Identity{name_, "bench", name_, kBitrate},
                                      BusState::kActive, "")),
      wake_(std::make_shared<WakeEvent>()) {
  core_->SetWaker([wake = wake_] { wake->Signal(); });
}

BenchBus::~BenchBus() { Stop(); }

absl::Status BenchBus::Start(int realtime_priority) {
  socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlink(socket_path_.c_str());
  const sockaddr_un own = Address(socket_path_);
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) {
    return absl::UnavailableError(socket_path_ + ": " + ErrnoText(errno));
  }
  thread_ = std::thread([this] { Run(); });
  return SetRealtimePriority(thread_, realtime_priority, name_);
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
    if (wait[0].revents != 0) wake_->Clear();
    if (wait[1].revents != 0) Receive();
    Send();
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
    frame.id = raw.can_id & CAN_SFF_MASK;
    frame.dlc = std::min<uint8_t>(raw.can_dlc, 8);
    std::copy(raw.data, raw.data + 8, frame.data.begin());
    core_->CountLine(now, {static_cast<double>(WireBits(frame)), 1, 0});
    core_->DeliverRx(frame, now);
  }
}

void BenchBus::Send() {
  const sockaddr_un peer = Address(peer_path_);
  while (const std::optional<TxQueue::Entry> entry = core_->TakeTx(clock_.Now())) {
    const CanFrame& frame = entry->tx.frame;
    can_frame raw{};
    raw.can_id = frame.id;
    raw.can_dlc = frame.dlc;
    std::copy(frame.data.begin(), frame.data.end(), raw.data);
    // A peer that is away or slow is no part of what is measured.
    static_cast<void>(sendto(socket_.get(), &raw, sizeof raw, MSG_DONTWAIT | MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&peer), sizeof peer));
    const MonoTime now = clock_.Now();
    core_->CountLine(now, {static_cast<double>(WireBits(frame)), 1, 0});
    core_->DeliverOwn(entry->port, entry->tx.tag, frame, now);
  }
}

}  // namespace canhub::bench
