ringtap_test(ntp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/ntp/ntp_test.cc LINK ringtap_protocol)
