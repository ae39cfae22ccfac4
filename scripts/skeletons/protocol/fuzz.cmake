ringtap_fuzz(@name@ SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/@name@/@name@_fuzz.cc LINK ringtap_protocol)
