ringtap_test(quic SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/quic/quic_test.cc LINK ringtap_protocol)
