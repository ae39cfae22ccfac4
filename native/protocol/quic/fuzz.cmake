ringtap_fuzz(quic SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/quic/quic_fuzz.cc LINK ringtap_protocol)
