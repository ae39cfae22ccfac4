ringtap_fuzz(dns SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/dns/dns_fuzz.cc LINK ringtap_protocol)
