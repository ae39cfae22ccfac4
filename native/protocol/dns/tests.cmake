ringtap_test(dns SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/dns/dns_test.cc LINK ringtap_protocol)
