// Server streams of watches: at most one write in flight; while it is, changes are conflated by
// the source; a client that does not read costs one message and its source.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/status_mapping.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Where a stream's messages come from. Used by one thread at a time. Its destructor must make sure
// that the kick it was given is not called any more; it runs without locks held.
template <typename Response>
class MessageSource {
 public:
  virtual ~MessageSource() = default;
  // Puts the next message into `out`, which is empty; or returns false and the moment to ask again
  // (kNever: when kicked).
  virtual bool Next(MonoTime now, Response* out, MonoTime* ask_again) = 0;
};

// How a source tells its stream that it has something. Neither blocks.
struct Kicks {
  // Pumps at once, on the caller's thread, which may serialise a message and hand it to a socket:
  // for the watch hub's thread, where it saves a wake-up per message.
  std::function<void()> direct;
  // Pumps on the services' timer thread: for threads that must not be held up, such as a bus's.
  std::function<void()> posted;
};

template <typename Response>
class WatchStream final : public LiveCall,
                          public std::enable_shared_from_this<WatchStream<Response>> {
 public:
  using Source = MessageSource<Response>;

  // `make_source`: absl::StatusOr<std::unique_ptr<Source>>(const Caller&, Kicks).
  template <typename MakeSource>
  static grpc::ServerWriteReactor<Response>* Start(RpcContext& rpc,
                                                   grpc::CallbackServerContext* context,
                                                   MakeSource make_source) {
    auto* reactor = new Reactor();
    auto stream = std::make_shared<WatchStream>(&rpc, reactor);
    reactor->stream = stream;
    absl::Status status = stream->Open(context, std::move(make_source));
    rpc.watches.Add(stream);
    if (status.ok()) {
      // At once, not with the first message, which may be long in coming: now the client knows
      // that it is being served, and from which moment on.
      reactor->StartSendInitialMetadata();
      stream->Pump();
    } else {
      stream->End(status);
    }
    return reactor;
  }

  void End(const absl::Status& status) override {
    Reactor* reactor = nullptr;
    {
      MutexLock lock(&mutex_);
      if (over_) return;
      over_ = true;
      status_ = status;
      if (writing_) return;  // OnWriteDone finishes
      reactor = reactor_;
    }
    reactor->Finish(ToGrpc(status));
  }

  class Reactor final : public grpc::ServerWriteReactor<Response> {
   public:
    void OnWriteDone(bool ok) override { stream->WriteDone(ok); }
    void OnCancel() override {
      stream->End(absl::CancelledError("the client cancelled the watch or vanished"));
    }
    void OnDone() override {
      stream->Close();
      delete this;
    }
    std::shared_ptr<WatchStream> stream;
  };

  WatchStream(RpcContext* rpc, Reactor* reactor) : rpc_(rpc), reactor_(reactor) {}

 private:
  template <typename MakeSource>
  absl::Status Open(grpc::CallbackServerContext* context, MakeSource make_source) {
    absl::StatusOr<Caller> caller = Admit(*rpc_, *context, Role::kViewer);
    if (!caller.ok()) return caller.status();
    auto slot = rpc_->admission.AdmitStream(caller->identity, context->peer());
    if (!slot.ok()) return slot.status();
    {
      // A client that vanishes now is told of on another thread.
      MutexLock lock(&mutex_);
      slot_ = *std::move(slot);
    }
    // The source may outlive the stream by a moment: the kicks hold it weakly. Posted ones on
    // their way to the pump are merged.
    Kicks kicks;
    kicks.direct = [weak = this->weak_from_this()] {
      if (auto stream = weak.lock()) stream->Pump();
    };
    kicks.posted = [weak = this->weak_from_this(), timers = &rpc_->timers] {
      auto stream = weak.lock();
      if (stream == nullptr || stream->kicked_.exchange(true)) return;
      timers->Post([weak] {
        auto stream = weak.lock();
        if (stream == nullptr) return;
        stream->kicked_ = false;
        stream->Pump();
      });
    };
    absl::StatusOr<std::unique_ptr<Source>> source = make_source(*caller, std::move(kicks));
    if (!source.ok()) return source.status();
    MutexLock lock(&mutex_);
    source_ = *std::move(source);
    return absl::OkStatus();
  }

  // Starts the next write if there is something to write and none is in flight.
  void Pump() {
    Reactor* reactor = nullptr;
    {
      MutexLock lock(&mutex_);
      if (over_ || writing_ || source_ == nullptr) return;
      MonoTime ask_again = kNever;
      message_.Clear();
      if (!source_->Next(rpc_->hub->clock().Now(), &message_, &ask_again)) {
        SetTimer(ask_again);
        return;
      }
      writing_ = true;
      reactor = reactor_;
    }
    // While writing_ is set nobody finishes the call, so the reactor is still there.
    reactor->StartWrite(&message_);
  }

  void WriteDone(bool ok) {
    absl::Status status;
    {
      MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok && !over_) {
        over_ = true;
        status_ = absl::CancelledError("the client is gone");
      }
      if (!over_) {
        status = absl::OkStatus();
      } else {
        status = status_;
      }
    }
    if (status.ok()) {
      Pump();
    } else {
      reactor_->Finish(ToGrpc(status));
    }
  }

  // gRPC is done: releases everything.
  void Close() {
    rpc_->watches.Remove(this);
    std::unique_ptr<Source> source;
    std::unique_ptr<Admission::StreamSlot> slot;
    {
      MutexLock lock(&mutex_);
      over_ = true;
      source = std::move(source_);
      slot = std::move(slot_);
      SetTimer(kNever);
      message_.Clear();
    }
  }

  void SetTimer(MonoTime when) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (timer_ && timer_->first == when) return;
    if (timer_) rpc_->timers.Cancel(*timer_);
    timer_.reset();
    if (when == kNever) return;
    timer_ = rpc_->timers.At(when, [weak = this->weak_from_this()] {
      auto stream = weak.lock();
      if (stream == nullptr) return;
      {
        MutexLock lock(&stream->mutex_);
        stream->timer_.reset();
      }
      stream->Pump();
    });
  }

  RpcContext* const rpc_;
  Reactor* const reactor_;  // valid until Finish was called
  std::atomic<bool> kicked_{false};
  Mutex mutex_;
  std::unique_ptr<Source> source_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Admission::StreamSlot> slot_ ABSL_GUARDED_BY(mutex_);
  Response message_;  // the write in flight's while writing_
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::optional<RpcTimers::TimerId> timer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace canhub
