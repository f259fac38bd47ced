#include "daemon/bus/socketcand_client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "daemon/bus/can_error_frame.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

// What TCP may hold unsent: a few frames, so that urgency and deadlines are ours to keep.
constexpr int kUnsentBytes = 256;
constexpr size_t kMaxBusName = 16;
constexpr Duration kStalledCheck = milliseconds(100);

void TuneSocket(int fd) {
  const int on = 1, unsent = kUnsentBytes, idle = 2, interval = 1, probes = 2;
  const int timeout =
      static_cast<int>(duration_cast<milliseconds>(SocketcandClient::kTcpTimeout).count());
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
  // A peer that lost its power is noticed without traffic too.
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

}  // namespace

SocketcandClient::SocketcandClient(const Clock& clock, SocketcandClientOptions options)
    : clock_(clock),
      options_(std::move(options)),
      address_(options_.host + ":" + std::to_string(options_.port) + "/" + options_.remote_bus),
      core_(std::make_shared<BusCore>(
          clock, BusCore::Identity{options_.name, "socketcand", address_, options_.bitrate},
          BusState::kUnplugged, "not connected yet")),
      wake_(std::make_shared<WakeEvent>()) {
  core_->SetWaker([wake = wake_] { wake->Signal(); });
  core_->SetDirectWriter([this] { return WriteDirectly(); });
}

SocketcandClient::~SocketcandClient() { Stop(); }

absl::Status SocketcandClient::Start() {
  const std::string& bus = options_.remote_bus;
  if (bus.empty() || bus.size() > kMaxBusName ||
      bus.find_first_of("<> \t\r\n") != std::string::npos) {
    return MakeError(absl::StatusCode::kInvalidArgument, "REMOTE_BUS_NAME",
                     options_.name + ": \"" + bus +
                         "\" cannot be a socketcand bus: 1 to 16 characters without blanks and "
                         "brackets (socketcand's protocol)",
                     {{"bus_id", options_.name}, {"remote_bus", bus}});
  }
  if (!wake_->ok())
    return absl::ResourceExhaustedError(options_.name + ": no file descriptor left");
  thread_ = std::thread([this] { Run(); });
  const absl::Status status =
      SetRealtimePriority(thread_, options_.realtime_priority, options_.name);
  if (!status.ok()) Stop();
  return status;
}

void SocketcandClient::Stop() {
  stop_.store(true, std::memory_order_release);
  wake_->Signal();
  if (thread_.joinable()) thread_.join();
  core_->Close();
}

std::unique_ptr<BusPort> SocketcandClient::Attach(std::vector<CanFilter> filters, FrameSink* sink) {
  return core_->Attach(std::move(filters), sink);
}
void SocketcandClient::AddTap(FrameTap* tap) { core_->AddTap(tap); }
void SocketcandClient::RemoveTap(FrameTap* tap) { core_->RemoveTap(tap); }
BusStatus SocketcandClient::Status() const { return core_->Status(); }

void SocketcandClient::SetState(BusState state, const std::string& text) {
  const std::string line = std::string(ToString(state)) + (text.empty() ? "" : ": " + text);
  if (line == logged_) return;
  logged_ = line;
  core_->SetState(state, text);
  if (options_.log) {
    options_.log(CanTransmit(state) ? LogLevel::kInfo : LogLevel::kWarning,
                 options_.name + " is " + line);
  }
}

void SocketcandClient::Run() {
  std::unique_lock line(core_->line());
  while (!stop_.load(std::memory_order_acquire)) {
    const MonoTime now = clock_.Now();
    if (phase_ == Phase::kWaiting && now >= next_try_) Connect(now);
    if (phase_ != Phase::kWaiting && phase_ != Phase::kRunning && now >= handshake_end_) {
      Disconnect("no answer within 5 s");
    }
    if (phase_ == Phase::kRunning) {
      if (now - running_since_ >= kGoodConnection) back_off_.Reset();
      WriteFrames();
    }
    const bool wants_write = phase_ == Phase::kConnecting ||
                             (socket_.ok() && (written_ < output_.size() ||
                                               (phase_ == Phase::kRunning && core_->HasTx())));
    std::array<pollfd, 2> fds = {
        pollfd{wake_->fd(), POLLIN, 0},
        pollfd{socket_.get(), static_cast<short>(POLLIN | (wants_write ? POLLOUT : 0)), 0}};
    MonoTime until = handshake_end_;
    if (phase_ == Phase::kWaiting) {
      until = next_try_;
    } else if (phase_ == Phase::kRunning) {
      // While TCP takes nothing, what waits must still be told in time that it is too late.
      core_->DropExpired(now);
      until = wants_write ? now + kStalledCheck : kNever;
    }
    line.unlock();
    WaitForEvents(fds, clock_, until);
    line.lock();
    if (fds[0].revents != 0) wake_->Clear();
    if (!socket_.ok() || fds[1].revents == 0) continue;
    if (phase_ == Phase::kConnecting) {
      OnConnected();
    } else {
      if (fds[1].revents & (POLLIN | POLLERR | POLLHUP)) ReadSocket();
      if (socket_.ok() && (fds[1].revents & POLLOUT)) Flush();
    }
  }
  if (socket_.ok()) Disconnect("stopped");
}

void SocketcandClient::Connect(MonoTime now) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(options_.host.c_str(), std::to_string(options_.port).c_str(), &hints, &found);
  if (error != 0) {
    Disconnect(std::string("host \"") + options_.host + "\": " + gai_strerror(error));
    return;
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, &freeaddrinfo);
  socket_ = UniqueFd(
      socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!socket_.ok()) {
    Disconnect(ErrnoText(errno));
    return;
  }
  TuneSocket(socket_.get());
  phase_ = Phase::kConnecting;
  handshake_end_ = now + kHandshakeTimeout;
  if (connect(socket_.get(), addresses->ai_addr, addresses->ai_addrlen) != 0 &&
      errno != EINPROGRESS) {
    Disconnect(ErrnoText(errno));
  }
}

void SocketcandClient::OnConnected() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    Disconnect(ErrnoText(error));
    return;
  }
  phase_ = Phase::kGreeting;
}

void SocketcandClient::Disconnect(const std::string& why) {
  socket_.reset();
  parser_.Clear();
  output_.clear();
  written_ = 0;
  const MonoTime now = clock_.Now();
  if (writing_) core_->Report(writing_->port, writing_->tx.tag, TxOutcome::kPurged, now);
  writing_.reset();
  if (phase_ == Phase::kRunning && now - running_since_ >= kGoodConnection) back_off_.Reset();
  phase_ = Phase::kWaiting;
  const Duration wait = back_off_.Next();
  next_try_ = now + wait;
  SetState(BusState::kUnplugged, address_ + ": " + why + "; next try after " +
                                     std::to_string(duration_cast<milliseconds>(wait).count()) +
                                     " ms");
}

void SocketcandClient::ReadSocket() {
  std::array<char, 4096> bytes;
  for (;;) {
    const ssize_t got = recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) Disconnect(ErrnoText(errno));
      return;
    }
    if (got == 0) {
      Disconnect("closed by the server");
      return;
    }
    parser_.Feed({bytes.data(), static_cast<size_t>(got)});
    const MonoTime now = clock_.Now();
    while (const std::optional<std::string> element = parser_.Next()) {
      OnMessage(ParseSocketcand(*element), now);
      if (!socket_.ok()) return;
    }
    if (got < static_cast<ssize_t>(bytes.size())) return;
    if (phase_ == Phase::kRunning) {
      WriteFrames();
      if (!socket_.ok()) return;
    }
  }
}

void SocketcandClient::OnMessage(const SocketcandMessage& message, MonoTime now) {
  using Type = SocketcandMessage::Type;
  switch (message.type) {
    case Type::kHi:
      if (phase_ != Phase::kGreeting) break;
      phase_ = Phase::kOpening;
      output_ += "< open " + options_.remote_bus + " >";
      Flush();
      return;
    case Type::kOk:
      if (phase_ == Phase::kOpening) {
        phase_ = Phase::kEnteringRaw;
        output_ += "< rawmode >";
        Flush();
      } else if (phase_ == Phase::kEnteringRaw) {
        phase_ = Phase::kRunning;
        running_since_ = now;
        handshake_end_ = kNever;
        SetState(BusState::kActive, "");
      }
      return;
    case Type::kFrame:
      if (phase_ != Phase::kRunning) break;
      // The server's time is another machine's: ours is that of arrival.
      core_->CountLine(now, {static_cast<double>(WireBits(message.frame)), 1, 0});
      core_->DeliverRx(message.frame, now);
      return;
    case Type::kErrorFrame:
      if (phase_ == Phase::kRunning) OnErrorClass(message.error_class, now);
      return;
    case Type::kError:
      if (phase_ == Phase::kRunning) {
        if (options_.log) {
          options_.log(LogLevel::kWarning,
                       options_.name + ": " + address_ + " reports an error: " + message.text);
        }
      } else {
        Disconnect("the server refuses: " + message.text);
      }
      return;
    default:
      break;
  }
  // Counted with the errors, told once: a server that talks nonsense must not fill the log.
  core_->CountLine(now, {0, 0, 1});
  if (malformed_++ == 0 && options_.log) {
    options_.log(LogLevel::kWarning, options_.name + ": " + address_ +
                                         " sent what socketcand's protocol does not know");
  }
}

void SocketcandClient::OnErrorClass(uint32_t error_class, MonoTime now) {
  const ErrorFrame error = DecodeErrorFrame(error_class, {});
  if (error.restarted && core_->state() != BusState::kBusOff) {
    SetState(BusState::kBusOff, "the remote controller was restarted");  // purges what is old (S02)
  }
  if (error.state) SetState(*error.state, "remote: " + error.text);
  CanFrame frame;
  frame.id = error_class;
  frame.extended = true;
  frame.dlc = 8;
  core_->DeliverError(frame, now, error.text);
}

void SocketcandClient::WriteFrames() {
  if (!socket_.ok() || !Flush()) return;
  do {
    const MonoTime now = clock_.Now();
    // Ask the connection first: a frame that is taken goes out at once.
    pollfd room{socket_.get(), POLLOUT, 0};
    if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) return;
    std::optional<TxQueue::Entry> entry = core_->TakeTx(now);
    if (!entry) return;
    output_ = FormatSend(entry->tx.frame);
    written_ = 0;
    writing_ = std::move(entry);
  } while (Flush() && core_->HasTx());
}

// On a sender's thread.
bool SocketcandClient::WriteDirectly() {
  if (phase_ != Phase::kRunning) return false;
  WriteFrames();
  return socket_.ok() && output_.empty() && !core_->HasTx();
}

bool SocketcandClient::Flush() {
  while (written_ < output_.size()) {
    const ssize_t sent = send(socket_.get(), output_.data() + written_, output_.size() - written_,
                              MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (writing_ && written_ == 0) {
          core_->PutBackTx(*std::move(writing_));
          writing_.reset();
          output_.clear();
        }
        return false;
      }
      Disconnect(ErrnoText(errno));
      return false;
    }
    written_ += static_cast<size_t>(sent);
  }
  output_.clear();
  written_ = 0;
  if (writing_) {
    const MonoTime now = clock_.Now();
    core_->CountLine(now, {static_cast<double>(WireBits(writing_->tx.frame)), 1, 0});
    core_->DeliverSent(writing_->port, writing_->tx.tag, writing_->tx.frame, now);
    writing_.reset();
  }
  return true;
}

}  // namespace canhub
