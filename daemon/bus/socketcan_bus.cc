#include "daemon/bus/socketcan_bus.h"

#include <fcntl.h>
#include <linux/can.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <utility>

#include "daemon/bus/can_error_frame.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How often the interface is asked for its counters and state, and an open is tried again.
constexpr Duration kLinkPeriod = seconds(1);
// Half a second of a full 1 Mbit/s line of shortest frames (about 21 000/s), at the kernel's
// 700-odd bytes per queued frame; the kernel cuts it to net.core.rmem_max.
constexpr int kReceiveBufferBytes = 8 << 20;
constexpr size_t kBatch = 64;
// While frames stream in and none of ours was sent for kAnswerTime, so that no request is likely to
// be waited for, frames are fetched this often and not one by one: each would cost two system calls
// and two wake-ups. 2 ms are two frames at 125 kbit/s. What is to be sent never waits for it.
constexpr Duration kFetchPeriod = milliseconds(2);
// A device answers within a few milliseconds; slower ones lose kFetchPeriod in more than this.
constexpr Duration kAnswerTime = milliseconds(10);
// For how long the difference of the clocks is used. A wall clock that jumps meanwhile makes stamps
// that StampToMono moves; one that is slewed by 500 ppm makes an error of 50 us.
constexpr Duration kClockPeriod = milliseconds(100);
// A frame that has been in the kernel for so long is worth telling of.
constexpr Duration kStuckAfter = seconds(1);
// The echo of a sender's frame wakes the bus's thread. One that has not turned for so long after
// it hangs, or has no time: senders leave their frames to it.
constexpr Duration kEchoWakes = milliseconds(100);

// Bits of the longest frame with all stuff bits (ISO 11898-1): what a full queue moves on in.
constexpr int64_t kLongestFrameBits = 160;

Duration QueueRetry(uint32_t bitrate) {
  const int64_t rate = bitrate != 0 ? bitrate : 1'000'000;
  return Duration(kLongestFrameBits * 1'000'000'000 / rate);
}

LogLevel LevelOf(BusState state) {
  switch (state) {
    case BusState::kActive:
      return LogLevel::kInfo;
    case BusState::kWarning:
    case BusState::kPassive:
      return LogLevel::kWarning;
    default:
      return LogLevel::kError;
  }
}

}  // namespace

MonoTime StampToMono(WallTime stamp, WallTime wall_now, MonoTime now, MonoTime not_before) {
  return std::clamp(now - (wall_now - stamp), std::min(not_before, now), now);
}

struct SocketCanBus::ReceiveBuffers {
  struct Control {
    alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(timespec)) + CMSG_SPACE(sizeof(uint32_t))];
  };
  std::array<can_frame, kBatch> frames;
  std::array<iovec, kBatch> vectors;
  std::array<Control, kBatch> controls;
  std::array<mmsghdr, kBatch> messages;
  std::array<uint8_t, 16384> link;
};

SocketCanBus::SocketCanBus(const Clock& clock, SocketCanOptions options)
    : clock_(clock),
      options_(std::move(options)),
      core_(std::make_shared<BusCore>(
          clock,
          BusCore::Identity{options_.name, "socketcan", options_.interface, options_.bitrate},
          BusState::kUnplugged, "not opened yet")),
      wake_(std::make_shared<WakeEvent>()),
      watch_(options_.interface, options_.bitrate),
      pacer_(TxPacer::WindowFor(options_.bitrate)),
      buffers_(std::make_unique<ReceiveBuffers>()) {
  core_->SetWaker([wake = wake_] { wake->Signal(); });
  core_->SetDirectWriter([this] { return WriteDirectly(); });
}

SocketCanBus::~SocketCanBus() { Stop(); }

absl::Status SocketCanBus::Start() {
  if (!wake_->ok())
    return absl::ResourceExhaustedError(options_.name + ": no file descriptor left");
  thread_ = std::thread([this] { Run(); });
  const absl::Status status =
      SetRealtimePriority(thread_, options_.realtime_priority, options_.name);
  if (!status.ok()) Stop();
  return status;
}

void SocketCanBus::Stop() {
  stop_.store(true, std::memory_order_release);
  wake_->Signal();
  if (thread_.joinable()) thread_.join();
  core_->Close();
}

std::unique_ptr<BusPort> SocketCanBus::Attach(std::vector<CanFilter> filters, FrameSink* sink) {
  return core_->Attach(std::move(filters), sink);
}
void SocketCanBus::AddTap(FrameTap* tap) { core_->AddTap(tap); }
void SocketCanBus::RemoveTap(FrameTap* tap) { core_->RemoveTap(tap); }
BusStatus SocketCanBus::Status() const { return core_->Status(); }

void SocketCanBus::Run() {
  pthread_setname_np(pthread_self(), options_.name.substr(0, 15).c_str());
  std::unique_lock line(core_->line());
  now_ = clock_.Now();
  while (!stop_.load(std::memory_order_acquire)) {
    turns_.Begin(now_);
    turned_ = true;
    MaintainLinkSocket(now_);
    MaintainSocket(now_);
    PublishState();
    if (socket_.ok()) {
      UpdateFilters();
    }
    if (socket_.ok()) {
      CheckEchoes(now_);
      WriteFrames();
      PublishState();
    }
    std::array<pollfd, 3> fds = {pollfd{wake_->fd(), POLLIN, 0},
                                 pollfd{link_socket_.get(), POLLIN, 0},
                                 pollfd{socket_.get(), POLLIN, 0}};
    MonoTime until = std::min(next_link_request_, pacer_.NextCheck());
    until = std::min(until, write_retry_);
    fetching_ = FramesCanWait();
    if (fetching_) until = std::min(until, now_ + kFetchPeriod);
    asleep_until_ = until;
    turns_.Wait(until);
    line.unlock();
    WaitForEvents(std::span(fds).first(fetching_ ? 2 : 3), now_, until);
    line.lock();
    if (fds[0].revents != 0) wake_->Clear();
    if (fds[1].revents != 0) ReadLinkSocket();
    // What came in goes first: it may tell that nothing can be sent any more (S02).
    const bool read = socket_.ok() && (fetching_ || fds[2].revents != 0);
    if (!read || !ReadSocket()) now_ = clock_.Now();
  }
  DropInFlight(TxOutcome::kPurged);
  CloseSocket();
  turns_.Wait(kNever);
}

bool SocketCanBus::FramesCanWait() const {
  return socket_.ok() && streaming_ && pacer_.in_flight() == 0 &&
         now_ >= last_written_ + kAnswerTime;
}

// ---------------------------------------------------------------- the interface

void SocketCanBus::MaintainLinkSocket(MonoTime now) {
  if (!link_socket_.ok()) {
    UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (!fd.ok() || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      watch_.OnOpenFailed(errno);
      next_link_request_ = now + kLinkPeriod;
      return;
    }
    link_socket_ = std::move(fd);
    next_link_request_ = now;
  }
  if (now < next_link_request_) return;
  next_link_request_ = now + kLinkPeriod;
  const std::vector<uint8_t> request = BuildGetLink(options_.interface, ++link_sequence_);
  if (send(link_socket_.get(), request.data(), request.size(), MSG_DONTWAIT) < 0 &&
      errno != EAGAIN && errno != ENOBUFS) {
    link_socket_.reset();
    return;
  }
  // rtnetlink answers inside send: the first state is known before the first wait.
  ReadLinkSocket();
}

void SocketCanBus::ReadLinkSocket() {
  for (;;) {
    sockaddr_nl from{};
    socklen_t length = sizeof(from);
    const ssize_t got = recvfrom(link_socket_.get(), buffers_->link.data(), buffers_->link.size(),
                                 MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0) {
      // ENOBUFS: messages were lost; ask for the state as it is now.
      if (errno == ENOBUFS) next_link_request_ = clock_.Now();
      return;
    }
    if (from.nl_pid != 0) continue;  // only the kernel may tell
    const LinkReply reply = ParseLinkMessages({buffers_->link.data(), static_cast<size_t>(got)});
    for (const LinkInfo& link : reply.links) OnLink(link);
    if (reply.error == ENODEV) watch_.OnAbsent();
  }
}

void SocketCanBus::OnLink(const LinkInfo& link) {
  const int index = watch_.link_index();
  watch_.OnLink(link);
  if (watch_.link_index() != index) {
    CloseSocket();
    next_open_ = clock_.Now();
  }
  if (link.name != options_.interface || link.deleted) return;
  if (link.transmit_errors && link.receive_errors) {
    core_->SetErrorCounters(link.transmit_errors, link.receive_errors);
  }
  if (!link.counters) return;
  const MonoTime now = clock_.Now();
  // Link messages also come between our own requests; shorter spans would only be noise.
  if (counters_ && now - counters_time_ < kLinkPeriod / 2) return;
  const bool all_seen = std::any_of(filters_.begin(), filters_.end(),
                                    [](const KernelFilter& filter) { return filter.mask == 0; });
  LineUse hidden_per_second;
  if (counters_ && !all_seen && socket_.ok()) {
    const double share =
        seen_frames_ == 0 ? 0
                          : static_cast<double>(seen_extended_) / static_cast<double>(seen_frames_);
    const HiddenTraffic hidden = EstimateHidden(*counters_, *link.counters, watch_.is_virtual(),
                                                seen_frames_, seen_bytes_, share);
    const double span = std::chrono::duration<double>(now - counters_time_).count();
    hidden_per_second = {hidden.bits / span, static_cast<uint64_t>(hidden.frames / span + 0.5), 0};
  }
  core_->SetHiddenTraffic(hidden_per_second);
  counters_ = link.counters;
  counters_time_ = now;
  seen_frames_ = seen_bytes_ = seen_extended_ = 0;
}

void SocketCanBus::MaintainSocket(MonoTime now) {
  if (!watch_.wants_socket()) {
    CloseSocket();
    return;
  }
  if (socket_.ok() || now < next_open_) return;
  next_open_ = now + kLinkPeriod;
  const int error = OpenSocket();
  if (error == 0) {
    watch_.OnOpened();
  } else {
    CloseSocket();
    watch_.OnOpenFailed(error);
  }
}

int SocketCanBus::OpenSocket() {
  socket_ = UniqueFd(socket(AF_CAN, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, CAN_RAW));
  if (!socket_.ok()) return errno;
  const auto set = [this](int level, int option, const void* value, size_t size) {
    return setsockopt(socket_.get(), level, option, value, static_cast<socklen_t>(size)) == 0;
  };
  const int on = 1;
  const can_err_mask_t errors = CAN_ERR_MASK;
  if (!set(SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
      !set(SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) ||
      !set(SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS, &on, sizeof(on)) ||
      !set(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &errors, sizeof(errors))) {
    return errno;
  }
  // Beyond rmem_max only with CAP_NET_ADMIN; otherwise as much as is allowed.
  if (!set(SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBufferBytes, sizeof(kReceiveBufferBytes))) {
    set(SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof(kReceiveBufferBytes));
  }
  // Before the bind: not one frame comes that nobody wants, and none that somebody wants is missed.
  bool tapped = false;
  filter_generation_ = core_->filter_generation();
  const std::vector<CanFilter> wanted = core_->Filters(&tapped);
  if (!ApplyFilters(MergeFilters(wanted, sent_ids_, tapped))) return errno;
  sockaddr_can address{};
  address.can_family = AF_CAN;
  address.can_ifindex = watch_.link_index();
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return errno;
  // Without it (no sysfs in a sandbox) a lost echo costs the whole patience.
  sent_counter_ =
      UniqueFd(open(("/sys/class/net/" + options_.interface + "/statistics/tx_packets").c_str(),
                    O_RDONLY | O_CLOEXEC));
  kernel_drops_ = 0;
  drained_ = clock_.Now();
  return 0;
}

void SocketCanBus::CloseSocket() {
  if (!socket_.ok()) return;
  socket_.reset();
  sent_counter_.reset();
  filters_.clear();
  DropInFlight(TxOutcome::kPurged);
  write_retry_ = kNever;
  counters_.reset();
  core_->SetHiddenTraffic({});
}

void SocketCanBus::PublishState() {
  const bool stuck = pacer_.in_flight() > 0 && pacer_.Waiting(now_) >= kStuckAfter;
  if (watch_.revision() == published_ && stuck == stuck_) return;
  published_ = watch_.revision();
  stuck_ = stuck;
  const BusState state = watch_.state();
  std::string text = watch_.text();
  if (!CanTransmit(state)) DropInFlight(TxOutcome::kPurged);
  if (stuck_ && CanTransmit(state)) {
    text +=
        std::string(text.empty() ? "" : "; ") +
        "a frame has waited in the interface for more than 1 s: nobody acknowledges, or the line "
        "is blocked";
  }
  const std::string line = std::string(ToString(state)) + (text.empty() ? "" : ": " + text);
  if (line == logged_) return;
  logged_ = line;
  core_->SetState(state, text);
  if (options_.log)
    options_.log(stuck_ ? LogLevel::kWarning : LevelOf(state), options_.name + " is " + line);
}

// ---------------------------------------------------------------- receiving

void SocketCanBus::UpdateFilters() {
  const uint64_t generation = core_->filter_generation();
  if (generation == filter_generation_) return;
  filter_generation_ = generation;
  bool tapped = false;
  const std::vector<CanFilter> wanted = core_->Filters(&tapped);
  if (!ApplyFilters(MergeFilters(wanted, sent_ids_, tapped))) OnSocketError(errno);
}

bool SocketCanBus::ApplyFilters(std::vector<KernelFilter> filters) {
  if (filters == filters_ && !filters.empty()) return true;
  std::vector<can_filter> raw;
  raw.reserve(filters.size());
  for (const KernelFilter& filter : filters) raw.push_back({filter.id, filter.mask});
  // No filter at all lets nothing through, which is right when nobody listens.
  if (setsockopt(socket_.get(), SOL_CAN_RAW, CAN_RAW_FILTER, raw.data(),
                 static_cast<socklen_t>(raw.size() * sizeof(can_filter))) != 0) {
    return false;
  }
  filters_ = std::move(filters);
  return true;
}

bool SocketCanBus::ReadSocket() {
  ReceiveBuffers& b = *buffers_;
  streaming_ = false;
  for (bool first = true;; first = false) {
    for (size_t i = 0; i < kBatch; ++i) {
      b.vectors[i] = {&b.frames[i], sizeof(can_frame)};
      b.messages[i] = {};
      b.messages[i].msg_hdr.msg_iov = &b.vectors[i];
      b.messages[i].msg_hdr.msg_iovlen = 1;
      b.messages[i].msg_hdr.msg_control = b.controls[i].bytes;
      b.messages[i].msg_hdr.msg_controllen = sizeof(b.controls[i].bytes);
    }
    const MonoTime before = clock_.Now();
    turns_.Begin(before);
    const int got = recvmmsg(socket_.get(), b.messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (got < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) OnSocketError(errno);
      return !first;
    }
    now_ = clock_.Now();
    if (first) {
      streaming_ = now_ - last_arrival_ < 2 * kFetchPeriod;
      last_arrival_ = now_;
    }
    // The line moves: what was full may have room again.
    if (write_retry_ != kNever) write_retry_ = before;
    const MonoTime now = now_;
    if (now >= wall_until_) {
      wall_ = clock_.WallNow();
      wall_time_ = now;
      wall_until_ = now + kClockPeriod;
    }
    const WallTime wall = wall_ + (now - wall_time_);
    for (int i = 0; i < got && socket_.ok(); ++i) {
      msghdr& header = b.messages[i].msg_hdr;
      MonoTime time = now;
      for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET) continue;
        if (c->cmsg_type == SO_TIMESTAMPNS) {
          timespec stamp;
          std::memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
          time = StampToMono(WallTime(seconds(stamp.tv_sec) + Duration(stamp.tv_nsec)), wall, now,
                             drained_);
        } else if (c->cmsg_type == SO_RXQ_OVFL) {
          uint32_t drops;
          std::memcpy(&drops, CMSG_DATA(c), sizeof(drops));
          if (drops != kernel_drops_) core_->CountReceiveDrops(drops - kernel_drops_);
          kernel_drops_ = drops;
        }
      }
      if (b.messages[i].msg_len != sizeof(can_frame)) continue;  // no CAN FD was asked for
      const can_frame& frame = b.frames[i];
      OnKernelFrame(frame.can_id, {frame.data, 8}, frame.can_dlc,
                    (header.msg_flags & MSG_CONFIRM) != 0, time);
    }
    if (got < static_cast<int>(kBatch)) {
      drained_ = before;
      return true;
    }
    // A line that never pauses must not keep our own frames waiting.
    WriteFrames();
    if (!socket_.ok()) return true;
  }
}

void SocketCanBus::OnKernelFrame(uint32_t can_id, std::span<const uint8_t> data, uint8_t length,
                                 bool own, MonoTime time) {
  if (can_id & CAN_ERR_FLAG) {
    OnError(can_id, data, time);
    return;
  }
  CanFrame frame;
  frame.extended = (can_id & CAN_EFF_FLAG) != 0;
  frame.remote = (can_id & CAN_RTR_FLAG) != 0;
  frame.id = can_id & (frame.extended ? CAN_EFF_MASK : CAN_SFF_MASK);
  frame.dlc = std::min<uint8_t>(length, 8);
  if (!frame.remote) std::copy_n(data.begin(), frame.dlc, frame.data.begin());
  core_->CountLine(time, {static_cast<double>(WireBits(frame)), 1, 0});
  ++seen_frames_;
  seen_bytes_ += frame.payload().size();
  if (frame.extended) ++seen_extended_;
  if (!own) {
    core_->DeliverRx(frame, time);
    return;
  }
  // An echo that nobody waits for any more is shown, but is no one's confirmation.
  const std::optional<TxQueue::Entry> entry = pacer_.OnEcho(frame);
  if (entry) ++echoes_since_;
  core_->DeliverOwn(entry ? entry->port : 0, entry ? entry->tx.tag : 0, frame, time);
}

void SocketCanBus::OnError(uint32_t can_id, std::span<const uint8_t> data, MonoTime time) {
  const uint32_t error_class = can_id & CAN_ERR_MASK;
  const ErrorFrame error = DecodeErrorFrame(error_class, data);
  if (error.transmit_error_counter) {
    core_->SetErrorCounters(error.transmit_error_counter, error.receive_error_counter);
  }
  if (error.restarted && watch_.state() != BusState::kBusOff) {
    // The frame that told of the bus-off was lost: what waited is old all the same (S02).
    ErrorFrame bus_off;
    bus_off.state = BusState::kBusOff;
    watch_.OnErrorFrame(bus_off);
    PublishState();
  }
  watch_.OnErrorFrame(error);
  PublishState();
  CanFrame frame;
  frame.id = error_class;
  frame.extended = true;
  frame.dlc = 8;
  std::copy_n(data.begin(), 8, frame.data.begin());
  core_->DeliverError(frame, time, error.text);
}

void SocketCanBus::OnSocketError(int error) {
  watch_.OnSocketError(error);
  CloseSocket();
  PublishState();
  // The kernel's own account follows by rtnetlink; ask, in case its message was lost.
  next_link_request_ = std::min(next_link_request_, clock_.Now() + milliseconds(50));
}

// ---------------------------------------------------------------- sending

void SocketCanBus::WriteFrames() {
  if (write_retry_ != kNever && now_ < write_retry_) return;
  write_retry_ = kNever;
  while (socket_.ok() && pacer_.MayWrite() && CanTransmit(watch_.state())) {
    const std::optional<BusCore::Head> head = core_->PeekTx(now_);
    if (!head) return;
    // The echo must come back: let it through before the frame is taken and its guard asked.
    if (!Passes(filters_, KernelId(head->frame))) {
      sent_ids_.insert(KernelId(head->frame));
      bool tapped = false;
      const std::vector<CanFilter> wanted = core_->Filters(&tapped);
      if (!ApplyFilters(MergeFilters(wanted, sent_ids_, tapped))) {
        OnSocketError(errno);
        return;
      }
    }
    const MonoTime now = now_ = clock_.Now();
    std::optional<TxQueue::Entry> entry = core_->TakeTx(now, head->sequence);
    if (!entry) continue;  // withdrawn, or overtaken by a more urgent one
    can_frame raw{};
    raw.can_id = KernelId(entry->tx.frame);
    raw.can_dlc = entry->tx.frame.dlc;
    std::copy(entry->tx.frame.data.begin(), entry->tx.frame.data.end(), raw.data);
    if (pacer_.in_flight() == 0) {
      sent_before_ = ReadSentCounter();
      echoes_since_ = 0;
    }
    const ssize_t written = send(socket_.get(), &raw, sizeof(raw), MSG_DONTWAIT);
    if (written == static_cast<ssize_t>(sizeof(raw))) {
      last_written_ = now;
      pacer_.OnWritten(*std::move(entry), now);
      continue;
    }
    const int error = written < 0 ? errno : EIO;
    if (error == ENOBUFS || error == EAGAIN || error == EWOULDBLOCK || error == EINTR) {
      // Somebody else's frames fill the interface's queue. The kernel tells nobody when it has room
      // again, so the next frame on the line, or the time of one, is the moment to try.
      core_->PutBackTx(*std::move(entry));
      write_retry_ = now + QueueRetry(options_.bitrate);
      return;
    }
    const bool gone = error == ENETDOWN || error == ENODEV || error == ENXIO;
    core_->Report(entry->port, entry->tx.tag, gone ? TxOutcome::kPurged : TxOutcome::kFailed, now);
    if (gone) {
      OnSocketError(error);
      return;
    }
    if (options_.log) {
      options_.log(LogLevel::kWarning, options_.name + ": " + options_.interface + " refused " +
                                           FormatFrame(entry->tx.frame) + ": " + ErrnoText(error));
    }
  }
}

// On a sender's thread.
bool SocketCanBus::WriteDirectly() {
  if (!socket_.ok()) return false;
  // Senders do not do the work of a thread that hangs: its bus falls silent (S04).
  const MonoTime now = clock_.Now();
  if (turned_) {
    turned_ = false;
    first_direct_ = now;
  } else if (now > first_direct_ + kEchoWakes) {
    return false;
  }
  // What came in goes first, as on the thread: it may tell of a bus-off (S02).
  if (!ReadSocket()) now_ = clock_.Now();
  WriteFrames();
  turns_.Wait(asleep_until_);  // the thread's, which reading took for one of its own
  // The echo wakes the thread for what is left, but not while it fetches; an echo that stays away
  // must be missed in time, and a full queue and a lost socket are the thread's to see to.
  return socket_.ok() && !fetching_ && std::min(pacer_.NextCheck(), write_retry_) >= asleep_until_;
}

void SocketCanBus::CheckEchoes(MonoTime now) {
  if (now < pacer_.NextCheck()) return;
  // While nothing can be handed over, what waits must still be told in time that it is too late.
  core_->DropExpired(now);
  const Duration patience =
      watch_.state() == BusState::kActive ? TxPacer::kPatienceActive : TxPacer::kPatienceOtherwise;
  for (const TxQueue::Entry& entry : pacer_.Check(now, FateOfFrames(), patience)) {
    core_->Report(entry.port, entry.tx.tag, TxOutcome::kSent, now);
    if (options_.log) {
      options_.log(LogLevel::kWarning, options_.name + ": no echo of " +
                                           FormatFrame(entry.tx.frame) +
                                           " came back; the interface has sent it or dropped it");
    }
  }
}

std::optional<uint64_t> SocketCanBus::ReadSentCounter() const {
  char text[32];
  const ssize_t got =
      sent_counter_.ok() ? pread(sent_counter_.get(), text, sizeof(text), 0) : ssize_t{-1};
  uint64_t value = 0;
  if (got <= 0 || std::from_chars(text, text + got, value).ec != std::errc()) return std::nullopt;
  return value;
}

TxPacer::Fate SocketCanBus::FateOfFrames() const {
  // What the socket has allocated for sending: frames in the interface's queue, but no more once
  // the driver has them.
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof(memory);
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_MEMINFO, memory, &size) == 0 &&
      memory[SK_MEMINFO_WMEM_ALLOC] != 0) {
    return TxPacer::Fate::kQueued;
  }
  // A frame in the controller that nobody acknowledges is not counted as sent.
  const std::optional<uint64_t> sent = ReadSentCounter();
  const bool all_sent =
      sent && sent_before_ && *sent - *sent_before_ >= echoes_since_ + pacer_.in_flight();
  return all_sent ? TxPacer::Fate::kSent : TxPacer::Fate::kUnknown;
}

void SocketCanBus::DropInFlight(TxOutcome outcome) {
  const MonoTime now = clock_.Now();
  for (const TxQueue::Entry& entry : pacer_.Clear()) {
    core_->Report(entry.port, entry.tx.tag, outcome, now);
  }
}

}  // namespace canhub
