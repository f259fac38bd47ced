#include "daemon/bus/socketcand_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "daemon/bus/socketcand_protocol.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// python-can reads "< ok >" with one recv and wants nothing behind it: frames wait so long.
constexpr Duration kQuietAfterRawMode = milliseconds(20);
// A connection that has not reached raw mode by then only takes another's place.
constexpr Duration kHandshakeTimeout = seconds(10);
// Frames of one client that may wait for the line; its next ones stay in its own TCP buffers.
constexpr int kWindow = 64;
constexpr int kTcpTimeoutMs = 10000;

absl::Status BadListen(const std::string& listen, const std::string& why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "LISTEN_ADDRESS",
                   "\"" + listen + "\": " + why +
                       "; expected a numeric address and a port, as 127.0.0.1:29536 or [::1]:29536",
                   {{"listen", listen}});
}

bool IsLoopback(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

}  // namespace

// One connection. The server's thread owns it; the line's thread calls the tap and the sink.
class SocketcandServer::Client final : public FrameSink, public FrameTap {
 public:
  Client(UniqueFd fd, std::string node_name, MonoTime now, const Clock& clock, SimulatedLine* line,
         const SocketcandServerOptions& options, std::shared_ptr<WakeEvent> wake)
      : clock_(clock),
        line_(line),
        options_(options),
        wake_(std::move(wake)),
        node_name_(std::move(node_name)),
        fd_(std::move(fd)),
        handshake_end_(now + kHandshakeTimeout) {
    Queue("< hi >");
  }
  ~Client() override {
    if (node_ != nullptr) node_->RemoveTap(this);
    port_.reset();
    node_.reset();
  }

  // -1 (which poll ignores) while nothing may be read or written: a connection that was reset would
  // otherwise wake the thread for ever.
  int poll_fd() { return events() == 0 ? -1 : fd_.get(); }
  const std::string& node_name() const { return node_name_; }
  // Why the connection has to end; "" when it goes on.
  const std::string& end_reason() const { return end_reason_; }
  MonoTime NextDue() const {
    if (mode_ != Mode::kRaw) return handshake_end_;
    return quiet_ ? quiet_end_ : kNever;
  }
  short events() {
    if (left_) return 0;
    std::lock_guard lock(mu_);
    const bool write = sent_ < sending_.size() || (!quiet_ && !output_.empty());
    return static_cast<short>((paused_ ? 0 : POLLIN) | (write ? POLLOUT : 0));
  }

  void Step(MonoTime now, short revents) {
    if (mode_ != Mode::kRaw && now >= handshake_end_) return End("did not open a bus within 10 s");
    if (quiet_ && now >= quiet_end_) quiet_ = false;
    Parse(now);
    if (!paused_ && !left_ && (revents & (POLLIN | POLLERR | POLLHUP)) != 0) Read(now);
    if (!left_ && end_reason_.empty()) Write();
    std::lock_guard lock(mu_);
    if (left_) {
      // What it sent before it left still goes out, as from a controller's buffer.
      output_.clear();
      if (end_reason_.empty() && !paused_ && outstanding_ == 0) end_reason_ = "left";
      return;
    }
    if (end_reason_.empty() && overflow_) {
      end_reason_ = "too slow: " + std::to_string(options_.max_output_bytes) +
                    " bytes wait for it, the limit (built in)";
    }
  }

  // ---- the line's thread
  void OnFrame(const TappedFrame& tapped) override {
    if (tapped.own) return;
    const WallTime wall = clock_.ToWall(tapped.time);
    const std::string text =
        tapped.error ? FormatErrorFrame(tapped.frame.id, wall) : FormatReceived(tapped.frame, wall);
    bool wake = false;
    {
      std::lock_guard lock(mu_);
      if (overflow_) return;
      overflow_ = output_.size() + text.size() > options_.max_output_bytes;
      wake = output_.empty() || overflow_;
      if (!overflow_) output_ += text;
    }
    if (wake) wake_->Signal();
  }
  void OnRx(const RxFrame&) override {}
  void OnTxReport(const TxReport&) override {
    bool wake = false;
    {
      std::lock_guard lock(mu_);
      --outstanding_;
      wake = outstanding_ == kWindow - 1 || outstanding_ == 0;
    }
    if (wake) wake_->Signal();
  }
  void OnBusState(BusState) override {}

 private:
  enum class Mode { kNoBus, kBcm, kRaw };

  void End(std::string why) { end_reason_ = std::move(why); }

  void Queue(const std::string& text) {
    std::lock_guard lock(mu_);
    output_ += text;
  }

  void Read(MonoTime now) {
    std::array<char, 4096> bytes;
    const ssize_t got = recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0) {
      left_ = errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
      return;
    }
    if (got == 0) {
      left_ = true;
      return;
    }
    parser_.Feed({bytes.data(), static_cast<size_t>(got)});
    paused_ = true;  // until everything has been parsed
    Parse(now);
  }

  void Parse(MonoTime now) {
    if (!paused_) return;
    while (end_reason_.empty()) {
      {
        std::lock_guard lock(mu_);
        if (outstanding_ >= kWindow) return;
      }
      const std::optional<std::string> element = parser_.Next();
      if (!element) {
        paused_ = false;
        return;
      }
      OnMessage(ParseSocketcand(*element), now);
    }
  }

  void OnMessage(const SocketcandMessage& message, MonoTime now) {
    using Type = SocketcandMessage::Type;
    switch (message.type) {
      case Type::kOpen:
        if (mode_ != Mode::kNoBus) break;
        if (message.text != options_.bus_name) {
          Queue("< error no bus " + message.text + " here >");
          Write();
          return End("asked for bus \"" + message.text + "\", served is \"" + options_.bus_name +
                     "\"");
        }
        mode_ = Mode::kBcm;
        Queue("< ok >");
        return;
      case Type::kRawMode:
        if (mode_ == Mode::kNoBus) break;
        if (mode_ == Mode::kRaw) {
          Queue("< ok >");
          return;
        }
        {
          std::lock_guard lock(mu_);
          sending_ += output_;
          output_.clear();
        }
        // On the line before the client is told so: from "< ok >" on it misses nothing.
        mode_ = Mode::kRaw;
        quiet_ = true;
        quiet_end_ = now + kQuietAfterRawMode;
        node_ = line_->CreateNode(node_name_);
        port_ = node_->Attach({}, this);
        node_->AddTap(this);
        sending_ += "< ok >";
        Write();
        return;
      case Type::kEcho:
        Queue("< echo >");
        return;
      case Type::kSend:
        if (mode_ != Mode::kRaw) break;
        Send(message.frame);
        return;
      case Type::kMalformed:
        ++malformed_;
        if (malformed_ == 1 && options_.log) {
          options_.log(LogLevel::kWarning,
                       options_.bus_name + ": client " + node_name_ +
                           " sent a malformed element; it and its like are dropped");
        }
        return;
      default:
        break;
    }
    Queue("< error unknown command >");
  }

  void Send(const CanFrame& frame) {
    TxFrame tx;
    tx.frame = frame;
    tx.tag = 1;
    {
      std::lock_guard lock(mu_);
      ++outstanding_;
    }
    if (port_->Send(std::move(tx)).ok()) return;
    // The node was switched off by a fault: as on a real line, the frame does not go out.
    std::lock_guard lock(mu_);
    --outstanding_;
  }

  void Write() {
    for (;;) {
      if (sent_ == sending_.size()) {
        sending_.clear();
        sent_ = 0;
        std::lock_guard lock(mu_);
        if (quiet_ || output_.empty()) return;
        sending_.swap(output_);
      }
      const ssize_t sent = send(fd_.get(), sending_.data() + sent_, sending_.size() - sent_,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        // The other end does not listen any more; what it sent before can still be read.
        sending_.clear();
        sent_ = 0;
        if (mode_ != Mode::kRaw) left_ = true;
        std::lock_guard lock(mu_);
        output_.clear();
        return;
      }
      sent_ += static_cast<size_t>(sent);
    }
  }

  const Clock& clock_;
  SimulatedLine* const line_;
  const SocketcandServerOptions& options_;
  const std::shared_ptr<WakeEvent> wake_;
  const std::string node_name_;

  // Only the server's thread's:
  UniqueFd fd_;
  Mode mode_ = Mode::kNoBus;
  ElementParser parser_;
  bool paused_ = false;  // received elements wait: nothing more is read meanwhile
  bool left_ = false;    // the other end closed the connection
  bool quiet_ = false;
  MonoTime quiet_end_{};
  const MonoTime handshake_end_;
  std::string sending_;
  size_t sent_ = 0;
  std::string end_reason_;
  uint64_t malformed_ = 0;
  std::shared_ptr<CanBus> node_;
  std::unique_ptr<BusPort> port_;

  std::mutex mu_;
  std::string output_;     // by mu_
  bool overflow_ = false;  // by mu_
  int outstanding_ = 0;    // by mu_: frames that wait for the line
};

SocketcandServer::SocketcandServer(const Clock& clock, SimulatedLine* line,
                                   SocketcandServerOptions options)
    : clock_(clock),
      line_(line),
      options_(std::move(options)),
      wake_(std::make_shared<WakeEvent>()) {}

SocketcandServer::~SocketcandServer() { Stop(); }

absl::Status SocketcandServer::Start() {
  const std::string& listen_text = options_.listen;
  const size_t colon = listen_text.rfind(':');
  if (colon == std::string::npos) return BadListen(listen_text, "no port");
  std::string host = listen_text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const std::string port = listen_text.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != port.npos ||
      std::stoi(port) > 65535) {
    return BadListen(listen_text, "\"" + port + "\" is no port");
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  if (host.empty() || getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    return BadListen(listen_text, "\"" + host + "\" is no numeric address");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> address(found, &freeaddrinfo);
  if (!options_.allow_remote && !IsLoopback(address->ai_addr)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "SERVE_NOT_LOOPBACK",
                     listen_text +
                         " can be reached from other machines, and socketcand knows no "
                         "login: serving beyond loopback must be allowed explicitly",
                     {{"listen", listen_text}});
  }
  UniqueFd fd(socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  const int on = 1;
  if (fd.ok()) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (!wake_->ok() || !fd.ok() || bind(fd.get(), address->ai_addr, address->ai_addrlen) != 0 ||
      listen(fd.get(), 16) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return MakeError(absl::StatusCode::kUnavailable, "SERVE_FAILED",
                     "cannot serve on " + listen_text + ": " + ErrnoText(errno),
                     {{"listen", listen_text}});
  }
  port_ =
      ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                        : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
  listener_ = std::move(fd);
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void SocketcandServer::Stop() {
  stop_.store(true, std::memory_order_release);
  wake_->Signal();
  if (thread_.joinable()) thread_.join();
  listener_.reset();
}

void SocketcandServer::Run() {
  std::vector<pollfd> fds;
  while (!stop_.load(std::memory_order_acquire)) {
    fds.assign({pollfd{wake_->fd(), POLLIN, 0}, pollfd{listener_.get(), POLLIN, 0}});
    MonoTime until = kNever;
    for (const std::unique_ptr<Client>& client : clients_) {
      fds.push_back({client->poll_fd(), client->events(), 0});
      until = std::min(until, client->NextDue());
    }
    WaitForEvents(fds, clock_, until);
    if (fds[0].revents != 0) wake_->Clear();
    const MonoTime now = clock_.Now();
    for (size_t i = 0; i < clients_.size(); ++i) clients_[i]->Step(now, fds[i + 2].revents);
    std::erase_if(clients_, [this](const std::unique_ptr<Client>& client) {
      if (client->end_reason().empty()) return false;
      ++clients_dropped_;
      Log(LogLevel::kInfo, options_.bus_name + ": client " + client->node_name() +
                               " is gone: " + client->end_reason());
      return true;
    });
    if (fds[1].revents != 0) Accept(now);
    client_count_.store(static_cast<int>(clients_.size()));
  }
  clients_.clear();
  client_count_.store(0);
}

void SocketcandServer::Accept(MonoTime now) {
  UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.ok()) return;
  if (static_cast<int>(clients_.size()) >= options_.max_clients) {
    Log(LogLevel::kWarning, options_.bus_name + ": a client was refused, " +
                                std::to_string(options_.max_clients) + " are connected, the limit");
    return;
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kTcpTimeoutMs, sizeof(kTcpTimeoutMs));
  std::string node_name = "tcp" + std::to_string(next_client_++);
  clients_.push_back(std::make_unique<Client>(std::move(fd), std::move(node_name), now, clock_,
                                              line_, options_, wake_));
  clients_.back()->Step(now, 0);
  Log(LogLevel::kInfo,
      options_.bus_name + ": client " + clients_.back()->node_name() + " connected");
}

}  // namespace canhub
