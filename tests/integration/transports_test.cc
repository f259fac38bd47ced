// Listening addresses, identities, limits per client, malformed requests.
#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/integration/rpc_lab.h"

namespace canhub {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/canhub-rpc-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& file) const { return path_ + "/" + file; }

 private:
  std::string path_;
};

RpcOptions Listen(const std::string& address) {
  RpcOptions options;
  options.listen.push_back({address, std::nullopt});
  return options;
}

// A connection of its own.
std::shared_ptr<grpc::Channel> Connect(
    const std::string& address,
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials()) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetSslTargetNameOverride("localhost");
  return grpc::CreateCustomChannel(address, std::move(credentials), arguments);
}

grpc::Status GetInfo(RpcLab& lab, const std::shared_ptr<grpc::Channel>& channel,
                     v1::GetInfoResponse* info) {
  const auto stub = v1::HubService::NewStub(channel);
  v1::GetInfoRequest request;
  grpc::ClientContext context;
  context.set_wait_for_ready(false);
  return lab.Call([&](auto* c, auto done) { stub->async()->GetInfo(c, &request, info, done); },
                  &context);
}

absl::Status StartError(RpcLab& lab, RpcOptions options) {
  options.start_threads = false;
  const auto server = RpcServer::Start(&lab.hub(), {}, std::move(options));
  return server.status();
}

TEST(TransportsTest, UnixClientsAreNamedByTheKernel) {
  Folder folder;
  RpcLab lab(Listen("unix:" + (folder / "s")));
  struct stat info {};
  ASSERT_EQ(stat((folder / "s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
  v1::GetInfoResponse response;
  const grpc::Status status = GetInfo(lab, Connect("unix:" + (folder / "s")), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.your_identity(), StartsWith("unix:uid=" + std::to_string(getuid())));
}

TEST(TransportsTest, ManyUnixConnectionsComeAndGoWithoutLeakingDescriptors) {
  Folder folder;
  RpcLab lab(Listen("unix:" + (folder / "s")));
  const auto open_descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  v1::GetInfoResponse response;
  ASSERT_TRUE(GetInfo(lab, Connect("unix:" + (folder / "s")), &response).ok());
  const auto before = open_descriptors();
  for (int i = 0; i < 300; ++i) {  // more than one identity may have open at once
    const grpc::Status status = GetInfo(lab, Connect("unix:" + (folder / "s")), &response);
    ASSERT_TRUE(status.ok()) << i << ": " << status.error_message();
    ASSERT_THAT(response.your_identity(), StartsWith("unix:uid="));
  }
  EXPECT_LT(open_descriptors(), before + 100);
}

TEST(TransportsTest, AStaleSocketIsReplacedALiveOneIsNot) {
  Folder folder;
  const std::string path = folder / "s";
  {
    const int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof(address.sun_path), "%s", path.c_str());
    ASSERT_EQ(bind(stale, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    close(stale);
  }
  RpcLab lab(Listen("unix:" + path));
  const absl::Status second = StartError(lab, Listen("unix:" + path));
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.message()), HasSubstr("another process listens"));
  v1::GetInfoResponse response;
  EXPECT_TRUE(GetInfo(lab, Connect("unix:" + path), &response).ok());
}

TEST(TransportsTest, AFileThatIsNoSocketIsLeftAlone) {
  Folder folder;
  std::ofstream(folder / "s") << "precious";
  RpcLab lab;
  EXPECT_EQ(StartError(lab, Listen("unix:" + (folder / "s"))).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(std::filesystem::exists(folder / "s"));
}

TEST(TransportsTest, TcpClientsAreNamedByTheirHost) {
  RpcLab lab(Listen("127.0.0.1:0"));
  const std::string address = lab.server().addresses()[0];
  EXPECT_NE(address, "127.0.0.1:0");
  v1::GetInfoResponse response;
  ASSERT_TRUE(GetInfo(lab, Connect(address), &response).ok());
  EXPECT_EQ(response.your_identity(), "tcp:127.0.0.1");
}

TEST(TransportsTest, AnAddressInUseIsNamed) {
  RpcLab lab(Listen("127.0.0.1:0"));
  const std::string address = lab.server().addresses()[0];
  const absl::Status status = StartError(lab, Listen(address));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(address));
  EXPECT_THAT(std::string(status.message()), HasSubstr("in use"));
}

TEST(TransportsTest, MalformedAddressesAreRefused) {
  RpcLab lab;
  for (const char* address : {"", "localhost", ":1", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:70000",
                              "::1:50051", "[::1:50051", "unix:"}) {
    EXPECT_EQ(StartError(lab, Listen(address)).code(), absl::StatusCode::kInvalidArgument)
        << address;
  }
}

TEST(TransportsTest, ShutdownEndsWatchesWithUnavailable) {
  RpcLab lab(Listen("127.0.0.1:0"));
  const auto stub = v1::DeviceService::NewStub(Connect(lab.server().addresses()[0]));
  const v1::WatchDevicesRequest request;
  StreamClient<v1::WatchDevicesResponse> watch([&](auto* context, auto* reactor) {
    stub->async()->WatchDevices(context, &request, reactor);
  });
  ASSERT_TRUE(lab.StepUntil([&] { return watch.synced(); }));
  lab.server().Shutdown(std::chrono::milliseconds(500));
  ASSERT_TRUE(lab.StepUntil([&] { return watch.over(); }));
  const grpc::Status status = watch.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(InfoOf(status).reason(), "SHUTTING_DOWN");
}

// ------------------------------------------------------------------ TLS

struct KeyPair {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
};

// A certificate for `name`, signed by `issuer` (by itself when null).
KeyPair MakeCertificate(const char* name, const KeyPair* issuer, int serial) {
  KeyPair pair{EVP_EC_gen("P-256"), X509_new()};
  X509* const x = pair.certificate;
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
  X509_gmtime_adj(X509_getm_notBefore(x), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  X509_set_pubkey(x, pair.key);
  X509_NAME* subject = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(
      x, X509_get_subject_name(issuer != nullptr ? issuer->certificate : pair.certificate));
  X509V3_CTX extensions;
  X509V3_set_ctx(&extensions, x, x, nullptr, nullptr, 0);
  const auto extend = [&](int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &extensions, nid, value);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  };
  if (issuer == nullptr) extend(NID_basic_constraints, "critical,CA:TRUE");
  extend(NID_subject_alt_name, "DNS:localhost");
  X509_sign(x, issuer != nullptr ? issuer->key : pair.key, EVP_sha256());
  return pair;
}

std::string Pem(const std::function<void(BIO*)>& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}
std::string CertificatePem(const KeyPair& pair) {
  return Pem([&](BIO* bio) { PEM_write_bio_X509(bio, pair.certificate); });
}
std::string KeyPem(const KeyPair& pair) {
  return Pem([&](BIO* bio) {
    PEM_write_bio_PrivateKey(bio, pair.key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}
void Free(const KeyPair& pair) {
  X509_free(pair.certificate);
  EVP_PKEY_free(pair.key);
}

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    ca_ = MakeCertificate("lab CA", nullptr, 1);
    server_ = MakeCertificate("localhost", &ca_, 2);
    alice_ = MakeCertificate("alice", &ca_, 3);
    stranger_ = MakeCertificate("mallory", nullptr, 4);
    std::ofstream(folder_ / "ca.pem") << CertificatePem(ca_);
    std::ofstream(folder_ / "server.pem") << CertificatePem(server_);
    std::ofstream(folder_ / "server.key") << KeyPem(server_);
    std::ofstream(folder_ / "alice.key") << KeyPem(alice_);
  }
  void TearDown() override {
    for (const KeyPair& pair : {ca_, server_, alice_, stranger_}) Free(pair);
  }
  RpcOptions Options() {
    RpcOptions options;
    options.listen.push_back({"127.0.0.1:0", TlsFiles{folder_ / "server.pem",
                                                      folder_ / "server.key", folder_ / "ca.pem"}});
    return options;
  }
  std::shared_ptr<grpc::ChannelCredentials> Client(const KeyPair* pair) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = CertificatePem(ca_);
    if (pair != nullptr) {
      options.pem_cert_chain = CertificatePem(*pair);
      options.pem_private_key = KeyPem(*pair);
    }
    return grpc::SslCredentials(options);
  }
  Folder folder_;
  KeyPair ca_, server_, alice_, stranger_;
};

TEST_F(TlsTest, ClientsAreNamedByTheirCertificate) {
  RpcLab lab(Options());
  v1::GetInfoResponse response;
  const grpc::Status status =
      GetInfo(lab, Connect(lab.server().addresses()[0], Client(&alice_)), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.your_identity(), "cert:CN=alice");
}

TEST_F(TlsTest, ClientsWithoutAKnownCertificateAreRefused) {
  RpcLab lab(Options());
  v1::GetInfoResponse response;
  for (const KeyPair* pair : {static_cast<KeyPair*>(nullptr), &stranger_}) {
    EXPECT_EQ(
        GetInfo(lab, Connect(lab.server().addresses()[0], Client(pair)), &response).error_code(),
        grpc::StatusCode::UNAVAILABLE);
  }
  EXPECT_FALSE(GetInfo(lab, Connect(lab.server().addresses()[0]), &response).ok());
}

TEST_F(TlsTest, UnfitFilesAreNamed) {
  RpcLab lab;
  RpcOptions options = Options();
  options.listen[0].tls->private_key = folder_ / "missing.key";
  absl::Status status = StartError(lab, options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("missing.key"));
  options.listen[0].tls->private_key = folder_ / "alice.key";
  status = StartError(lab, options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("alice.key"));
  options = Options();
  options.listen[0].tls->certificate = folder_ / "server.key";
  EXPECT_THAT(std::string(StartError(lab, options).message()), HasSubstr("no certificate"));
}

// ------------------------------------------------------------------ limits

TEST(LimitsTest, CallsBeyondTheRateAreRefusedEmergencyOffIsNot) {
  RpcOptions options;
  options.max_calls_per_second = 0.001;
  options.call_burst = 3;
  RpcLab lab(options);
  v1::GetInfoResponse response;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(GetInfo(lab, lab.channel(), &response).ok());
  const grpc::Status refused = GetInfo(lab, lab.channel(), &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(InfoOf(refused).reason(), "RATE_LIMIT");
  v1::EmergencyOffRequest request;
  request.set_device_id("nobody");
  v1::EmergencyOffResponse off;
  EXPECT_EQ(lab.Call([&](auto* context, auto done) {
                 lab.hv->async()->EmergencyOff(context, &request, &off, done);
               })
                .error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST(LimitsTest, StreamsBeyondTheLimitAreRefused) {
  RpcOptions options;
  options.max_streams_per_client = 1;
  RpcLab lab(options);
  v1::WatchDevicesRequest request;
  const auto start = [&](auto* context, auto* reactor) {
    lab.devices->async()->WatchDevices(context, &request, reactor);
  };
  StreamClient<v1::WatchDevicesResponse> first(start);
  ASSERT_TRUE(lab.StepUntil([&] { return first.synced(); }));
  StreamClient<v1::WatchDevicesResponse> second(start);
  ASSERT_TRUE(lab.StepUntil([&] { return second.over(); }));
  const grpc::Status refused = second.Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(second.count(), 0u);
  // The first goes on, and once it is gone there is room again.
  EXPECT_FALSE(first.over());
  first.Cancel();
  first.Finish();
  const auto third_is_served = [&] {
    StreamClient<v1::WatchDevicesResponse> third(start);
    EXPECT_TRUE(lab.StepUntil([&] { return third.synced() || third.over(); }));
    return third.synced();
  };
  EXPECT_TRUE(lab.StepUntil(third_is_served));
}

TEST(LimitsTest, MessagesBeyondTheSizeAreRefused) {
  RpcOptions options;
  options.max_message_bytes = 1000;
  RpcLab lab(options);
  v1::GetItemsRequest request;
  request.add_names(std::string(2000, 'x'));
  v1::GetItemsResponse response;
  EXPECT_EQ(lab.Call([&](auto* context, auto done) {
                 lab.items->async()->GetItems(context, &request, &response, done);
               })
                .error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// ------------------------------------------------------------------ malformed requests

// Every method with requests of random bytes, and with random mutations of a sensible one: nothing
// crashes, every answer has a code of ours, and the devices are as they were.
TEST(MalformedTest, RandomRequestsChangeNothingAndCrashNothing) {
  const google::protobuf::LogSilencer silencer;  // it reports text that is not UTF-8
  RpcLab lab;
  lab.WaitPolled();
  lab.SetRole(Role::kViewer);  // what gets through by chance must not act
  grpc::GenericStub stub(lab.channel());
  std::mt19937 random(20260101);
  v1::SetVoltageRequest sensible;
  sensible.set_device_id("hv0");
  sensible.set_channel(3);
  sensible.set_voltage_v(100);
  const std::string seed = sensible.SerializeAsString();
  int calls = 0;
  for (const auto* file :
       {v1::HubService::service_full_name(), v1::DeviceService::service_full_name(),
        v1::ItemService::service_full_name(), v1::BusService::service_full_name(),
        v1::LeaseService::service_full_name(), v1::AlarmService::service_full_name(),
        v1::HighVoltageService::service_full_name(), v1::SimulationService::service_full_name()}) {
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(file);
    ASSERT_NE(service, nullptr) << file;
    for (int m = 0; m < service->method_count(); ++m) {
      const auto* method = service->method(m);
      // Streams end with the client; what they do with bad requests the unary calls show.
      if (method->server_streaming()) continue;
      for (int round = 0; round < 20; ++round) {
        std::string bytes = seed;
        if (round % 2 == 0) bytes.resize(random() % 64);
        for (int i = 0; i < 1 + round / 4 && !bytes.empty(); ++i) {
          bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        const grpc::Slice slice(bytes);
        const grpc::ByteBuffer request(&slice, 1);
        grpc::ByteBuffer response;
        const grpc::Status status = lab.Call([&](auto* context, auto done) {
          stub.UnaryCall(context, "/" + service->full_name() + "/" + method->name(), {}, &request,
                         &response, done);
        });
        ++calls;
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNKNOWN)
            << method->full_name() << ": " << status.error_message();
      }
    }
  }
  EXPECT_GT(calls, 500);
  lab.SetRole(Role::kEngineer);
  v1::GetItemsRequest request;
  request.add_names("hv0/ch*.voltage_set");
  v1::GetItemsResponse response;
  ASSERT_TRUE(lab.Call([&](auto* context, auto done) {
                   lab.items->async()->GetItems(context, &request, &response, done);
                 })
                  .ok());
  for (const v1::Reading& reading : response.readings()) EXPECT_EQ(reading.value().number(), 0);
}

}  // namespace
}  // namespace canhub
